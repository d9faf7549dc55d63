// Two states side by side: figures, blocks aligned, and the differences in words.
import { useEffect, useRef } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { folded, type Piece } from "./folds";
import { type CompareMessage, type CompareState, compareState, type Shown } from "./protocol";

type Send = (message: CompareMessage) => void;

const MARKS = { remove: "only before", new: "only now", changed: "changed" } as const;

function Compare({ state, send }: PanelProps<CompareState, CompareMessage>) {
  const { shown } = state;
  if (!shown) return null;
  return <View shown={shown} send={send} />;
}

function View({ shown, send }: { shown: Shown; send: Send }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
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
        <ol class="ms-compare-strip" aria-label="Blocks aligned">
          <li class="ms-compare-names" aria-hidden="true">
            <span>before</span>
            <span>now</span>
          </li>
          {folded(shown.columns).map((piece) => (
            <PieceView key={keyOf(piece)} piece={piece} send={send} />
          ))}
        </ol>
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

const keyOf = (piece: Piece): string =>
  piece.kind === "run" ? `run ${piece.columns[0]?.path}` : `${piece.column.mark} ${piece.column.path}`;

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
