import { readSeconds } from "../shared/seconds";
import { useDraft } from "../shared/ui";
import type { TopbarMessage } from "./protocol";

interface Props {
  budget_s: number;
  busy: boolean;
  send: (message: TopbarMessage) => void;
}

/** The button and, inside it, the seconds it may take. */
export function Evaluate({ budget_s, busy, send }: Props) {
  const [draft, setDraft, dropDraft] = useDraft(String(budget_s));
  const seconds = readSeconds(draft);
  const evaluate = () => {
    if (seconds !== null) send({ type: "evaluate", budget_s: seconds });
  };
  return (
    <form
      class="ms-evaluate"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy) evaluate();
      }}
    >
      <button type="submit" disabled={busy || seconds === null} title="Evaluate (E)">
        Evaluate
      </button>
      <label title="time to spend, in seconds">
        <input
          aria-label="Seconds to spend"
          inputMode="decimal"
          value={draft}
          aria-invalid={seconds === null}
          style={{ width: `${Math.min(5, Math.max(1, draft.length))}ch` }}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onBlur={() => seconds === null && dropDraft()}
        />
        s
      </label>
    </form>
  );
}
