// Advisers: who is asked, and the first lines of the ranking with the step that each would be.
import { type Ask, AskButton } from "./ask";
import type { Advice, ReportMessage } from "./protocol";

interface Props {
  advice: Advice;
  send: (message: ReportMessage) => void;
}

export function WhoIsAsked({ advice, ask, send }: Props & { ask: Ask | null }) {
  return (
    <div class="ms-adviser">
      <select
        class="ms-input"
        aria-label="Adviser"
        title={advice.about}
        value={advice.value}
        onChange={(event) => send({ type: "adviser", name: event.currentTarget.value })}
      >
        {advice.choices.map((choice) => (
          <option key={choice.name} value={choice.name}>
            {choice.title}
          </option>
        ))}
      </select>
      {ask && <AskButton ask={ask} send={send} />}
      {advice.best.length === 0 && <p class="ms-soft">{advice.about}</p>}
    </div>
  );
}

export function Ranking({ advice, send }: Props) {
  if (advice.best.length === 0) return null;
  return (
    <ol class="ms-ranking" aria-label="Cheapest first">
      {advice.best.map((line) => {
        const { act } = line;
        return (
          <li key={line.text}>
            <button
              type="button"
              class="ms-clip"
              title={line.text}
              disabled={line.paths.length === 0}
              onClick={() => send({ type: "select", paths: line.paths, mode: "set" })}
            >
              {line.label}
            </button>
            <span class="ms-soft">{line.value}</span>
            {act && (
              <button
                type="button"
                class="ms-link"
                title={act.tip}
                aria-label={`${act.title} ${line.text}`}
                onClick={() => send({ type: "act", operation: act.operation, paths: act.paths })}
              >
                {act.title}
              </button>
            )}
          </li>
        );
      })}
    </ol>
  );
}
