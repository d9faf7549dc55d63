// What each block would cost: the question before it was asked, then the legend of the answer and its best.
import { useEffect, useState } from "preact/hooks";
import { CIVIDIS } from "../shared/palette";
import { readSeconds } from "../shared/seconds";
import { useDraft } from "../shared/ui";
import type { Ask, CanvasMessage, CanvasState } from "./protocol";

interface Props {
  state: CanvasState;
  send: (message: CanvasMessage) => void;
}

export function Costs({ state, send }: Props) {
  const { ask, legend } = state;
  const [again, setAgain] = useState(false);
  const running = ask?.running === true;
  const answer = legend && `${legend.title} ${legend.low} ${legend.high}`;
  // The answer, once it is there, comes to the front by itself.
  useEffect(() => setAgain(false), [running, answer]);
  if (!ask && !legend && state.colour.choices.length === 0) return null;
  return (
    <div class="ms-colours">
      <ColourBy state={state} send={send} />
      {ask && (!legend || running || again) ? (
        <Question ask={ask} send={send} />
      ) : (
        legend && <Legend ask={ask} legend={legend} send={send} more={() => setAgain(true)} />
      )}
    </div>
  );
}

/** What the colours mean: what was measured last, or another choice. */
function ColourBy({ state, send }: Props) {
  const { value, choices } = state.colour;
  if (choices.length === 0) return null;
  return (
    <select
      class="ms-colour-by"
      aria-label="Colour by"
      title="what the graph is coloured by"
      value={value}
      onChange={(event) => send({ type: "run", name: `colour:${event.currentTarget.value}` })}
    >
      {value === "" && <option value="">Colour by …</option>}
      {choices.map((choice) => (
        <option key={choice.name} value={choice.name}>
          {choice.title}
        </option>
      ))}
    </select>
  );
}

interface LegendProps {
  ask: Ask | null;
  legend: NonNullable<CanvasState["legend"]>;
  send: Props["send"];
  more: () => void;
}

function Legend({ ask, legend, send, more }: LegendProps) {
  return (
    <div class="ms-legend">
      <b>{legend.title}</b>
      <span>{legend.low}</span>
      <i style={{ background: `linear-gradient(90deg, ${CIVIDIS.join(", ")})` }} />
      <span>{legend.high}</span>
      {ask?.best && (
        <button
          type="button"
          class="ms-link"
          title="prepare this step; nothing is changed before Apply"
          onClick={() => send({ type: "take_best" })}
        >
          Best: {ask.best}
        </button>
      )}
      {ask && (
        <button type="button" class="ms-again" onClick={more}>
          Ask again
        </button>
      )}
    </div>
  );
}

function Question({ ask, send }: { ask: Ask; send: Props["send"] }) {
  const [operation, setOperation] = useState(ask.operation);
  const [draft, setDraft, dropDraft] = useDraft(String(ask.budget_s));
  const seconds = readSeconds(draft);
  return (
    <form
      class="ms-legend ms-ask"
      aria-label="What would each block cost?"
      onSubmit={(event) => {
        event.preventDefault();
        if (seconds !== null && !ask.running) send({ type: "sweep", operation, budget_s: seconds });
      }}
    >
      <button
        type="submit"
        class="ms-link"
        disabled={ask.running || seconds === null}
        title="try it at every block, one at a time, and colour the strip by what it costs"
      >
        What would each cost?
      </button>
      <select
        aria-label="What to try at each block"
        value={operation}
        disabled={ask.running}
        onChange={(event) => setOperation(event.currentTarget.value)}
      >
        {ask.operations.map((item) => (
          <option key={item.name} value={item.name}>
            {item.title}
          </option>
        ))}
      </select>
      <label title="time to spend on all of them, in seconds">
        <input
          aria-label="Seconds for all blocks"
          inputMode="decimal"
          value={draft}
          disabled={ask.running}
          aria-invalid={seconds === null}
          style={{ width: `${Math.min(5, Math.max(2, draft.length))}ch` }}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onBlur={() => seconds === null && dropDraft()}
        />
        s
      </label>
    </form>
  );
}
