// The prompt bench: the original and the edited model answer the same, over the graph.
import { useEffect, useRef } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { BlameBars } from "./blame";
import { AskForm } from "./form";
import { type PromptMessage, type PromptState, promptState } from "./protocol";
import { Choices } from "./rows";
import { TokenColumn } from "./tokens";

type Props = PanelProps<PromptState, PromptMessage>;

function Prompt({ state, send }: Props) {
  return state.open ? <Bench state={state} send={send} /> : null;
}

function Bench({ state, send }: Props) {
  const first = useRef<HTMLElement>(null);
  useEffect(() => {
    const inside = first.current;
    const begin = inside?.querySelector<HTMLElement>("form :is(textarea, button, input:not([type=file]))");
    (begin ?? inside?.querySelector<HTMLElement>(".ms-close"))?.focus({ preventScroll: true });
  }, []);
  return (
    <section
      class="ms-prompt-view"
      aria-label="Prompt bench"
      ref={first}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        send({ type: "close" });
      }}
    >
      <header>
        <h2>Prompt</h2>
        <span class="ms-soft">the same to the original and the edited model</span>
        <button
          type="button"
          class="ms-close"
          aria-label="Close the prompt bench"
          title="Esc"
          onClick={() => send({ type: "close" })}
        >
          ×
        </button>
      </header>
      {state.reason !== null ? (
        <p class="ms-empty">{state.reason}</p>
      ) : (
        <div class="ms-scroll">
          <AskForm state={state} send={send} />
          {state.asked === null ? <Hint state={state} /> : <Answers state={state} send={send} />}
        </div>
      )}
    </section>
  );
}

function Hint({ state }: { state: PromptState }) {
  const said = state.writes
    ? "Both answers are written side by side; each token is tinted by how far the models part there. Press one to see which edit did it."
    : "Both models answer side by side: classes, or the nearest of the data; and which edit did it.";
  return <p class="ms-empty ms-prompt-hint">{said}</p>;
}

function Answers({ state, send }: Props) {
  const blameFor = (side: "original" | "edited", position: number) => send({ type: "blame", side, position });
  return (
    <>
      {state.stale && (
        <p class="ms-prompt-stale" role="status">
          These are answers of another state of the model. Ask again for those of this one.
        </p>
      )}
      {state.columns.length > 0 && (
        <>
          <div class="ms-prompt-columns">
            {state.columns.map((column) => (
              <TokenColumn
                key={column.side}
                column={column}
                divergence={state.divergence}
                chosen={state.chosen?.side === column.side ? state.chosen.position : null}
                running={state.running}
                pick={(position) => blameFor(column.side, position)}
              />
            ))}
          </div>
          <Legend legend={state.legend} />
        </>
      )}
      {state.rows.length > 0 && <Choices state={state} ask={() => blameFor("original", 0)} />}
      <p class="ms-prompt-sentence" aria-live="polite">
        {state.sentence}
      </p>
      {state.notes.map((note) => (
        <p key={note} class="ms-faint ms-prompt-note">
          {note}
        </p>
      ))}
      {state.blame && <BlameBars blame={state.blame} />}
    </>
  );
}

/** What the tints mean: told apart by lightness and by the line below, whatever one sees of hues. */
function Legend({ legend }: { legend: string[] }) {
  return (
    <p class="ms-prompt-legend">
      <span class="ms-faint">KL(original ‖ edited), nats</span>
      {legend.map((item, level) => (
        <span key={item} class={`ms-token ms-kl-${level}`}>
          {item}
        </span>
      ))}
    </p>
  );
}

export default definePanel("prompt", promptState, Prompt);
