// Two states side by side: figures, blocks aligned, and the differences in words.
import { useEffect, useRef, useState } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { folded, keyOf, type Piece } from "./folds";
import { type CompareMessage, type CompareState, compareState, type Shown } from "./protocol";
import { MARKS, Swipe } from "./swipe";

type Send = (message: CompareMessage) => void;

const WAYS = [
  { swiped: false, name: "Side by side", tip: "the blocks of both states, each above its partner" },
  { swiped: true, name: "Swipe", tip: "one state over the other, with a divider between them" },
] as const;

function Compare({ state, send }: PanelProps<CompareState, CompareMessage>) {
  const { shown } = state;
  if (!shown) return null;
  return <View shown={shown} send={send} />;
}

function View({ shown, send }: { shown: Shown; send: Send }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const [swiped, setSwiped] = useState(false);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  const pieces = folded(shown.columns);
  return (
    <section
      class="ms-compare-view"
      aria-label="Two states compared"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        send({ type: "close" });
      }}
    >
      <header>
        <h2 tabIndex={-1} ref={heading}>
          <span class="ms-soft">{shown.before.label}</span> → {shown.after.label}
        </h2>
        <fieldset class="ms-compare-how" aria-label="How the states are shown">
          {WAYS.map((way) => (
            <button
              key={way.name}
              type="button"
              aria-pressed={way.swiped === swiped}
              title={way.tip}
              onClick={() => setSwiped(way.swiped)}
            >
              {way.name}
            </button>
          ))}
        </fieldset>
        <button
          type="button"
          class="ms-link"
          title="make the other one the current state"
          onClick={() => send({ type: "swap", id: shown.before.id })}
        >
          Swap ⇄
        </button>
        <button
          type="button"
          class="ms-close"
          aria-label="Close the comparison"
          title="Esc"
          onClick={() => send({ type: "close" })}
        >
          ×
        </button>
      </header>
      <div class="ms-scroll">
        <dl class="ms-compare-figures">
          {shown.figures.map((figure) => (
            <div key={figure.label} title={figure.tip || undefined}>
              <dt>{figure.label}</dt>
              <dd>
                {figure.before} → <b>{figure.after}</b>{" "}
                {figure.change && <span class={`ms-change ms-${figure.tone}`}>{figure.change}</span>}
              </dd>
            </div>
          ))}
        </dl>
        {swiped ? <Swipe pieces={pieces} send={send} /> : <Aligned pieces={pieces} send={send} />}
        {shown.same ? (
          <p class="ms-soft">No difference in modules, tensors and ties.</p>
        ) : (
          <ul class="ms-compare-changes" aria-label="Differences">
            {shown.changes.map((line) => (
              <li key={line}>
                <i aria-hidden="true">{line.slice(0, 1)}</i>
                <code>{line.slice(2)}</code>
              </li>
            ))}
          </ul>
        )}
      </div>
    </section>
  );
}

function Aligned({ pieces, send }: { pieces: readonly Piece[]; send: Send }) {
  return (
    <ol class="ms-compare-strip" aria-label="Blocks aligned">
      <li class="ms-compare-names" aria-hidden="true">
        <span>before</span>
        <span>now</span>
      </li>
      {pieces.map((piece) => (
        <PieceView key={keyOf(piece)} piece={piece} send={send} />
      ))}
    </ol>
  );
}

function PieceView({ piece, send }: { piece: Piece; send: Send }) {
  if (piece.kind === "run") {
    const said = `${piece.columns.length} unchanged`;
    return (
      <li class="ms-compare-run" title={said}>
        <span>{piece.columns.length}</span>
        <span class="ms-hidden"> unchanged</span>
      </li>
    );
  }
  const { before, after, mark, path } = piece.column;
  const said = `${path}: ${mark ? MARKS[mark] : "the same"}`;
  return (
    <li class={`ms-compare-column${mark ? ` ms-mark-${mark}` : ""}`} title={said}>
      <span>{before ?? ""}</span>
      {after === null ? (
        <span />
      ) : (
        <button
          type="button"
          aria-label={said}
          onClick={() => send({ type: "select", paths: [path], mode: "set" })}
        >
          {after}
        </button>
      )}
    </li>
  );
}

export default definePanel("compare", compareState, Compare);
