// The chosen cell: what is known of it, and what can be done with it.
import { useEffect, useRef, useState } from "preact/hooks";
import { at, pathOf, readCurve, rounded } from "./curve";
import { factsOf } from "./facts";
import type { Row, Section, ShelfMessage, ShelfState } from "./protocol";

export interface Chosen {
  alias: string;
  place: number;
}

interface Props {
  state: ShelfState;
  row: Row;
  chosen: Chosen;
  close: () => void;
  send: (message: ShelfMessage) => void;
}

export function Detail({ state, row, chosen, close, send }: Props) {
  const bar = useRef<HTMLDivElement>(null);
  const [text, setText] = useState<string | null>(null);
  const found = cellAt(state.columns, chosen.place);
  useEffect(() => bar.current?.querySelector<HTMLElement>("button, input")?.focus(), []);
  if (!found) return null;
  const path = pathOf(found.section, found.inside);
  const gap = row.gaps.find(([place]) => place === chosen.place);
  const reason = gap && (row.reasons[gap[1] ?? 0] ?? "");
  const touched = row.dots.find(([place]) => place === chosen.place)?.[1];
  const depth = found.section.depths[found.inside] ?? 0;
  const here = rounded(at(row.weight, depth));
  const value = row.values[chosen.place] ?? null;
  const takes = reason === undefined && (row.kind !== "adapter" || touched !== undefined);
  const graded = new Set(found.section.depths).size > 1;
  const weigh = (value: number) => send({ type: "weight_at", alias: row.alias, path, value });
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape closes it from any of its controls
    <div
      class="ms-shelf-detail"
      ref={bar}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        close();
      }}
    >
      <p class="ms-clip" title={`${path} of ${row.alias}`}>
        <code>{path}</code> of <b>{row.alias}</b>{" "}
        <span class="ms-soft">
          {factsOf({ figure: state.heat.figure, value, gap: reason, touched, weight: null })}
        </span>
      </p>
      {takes && (
        <button
          type="button"
          class="ms-link"
          title="The step after which this part of the model is the parent's, with its dry run"
          onClick={() => send({ type: "adopt", alias: row.alias, path })}
        >
          {row.kind === "adapter" ? "Adopt it here" : "Take this block"}
        </button>
      )}
      {takes && state.weighted && state.over_depth && graded && (
        <label>
          weight here
          <input
            class="ms-input"
            inputMode="decimal"
            value={text ?? String(here)}
            aria-invalid={text !== null && readCurve(text)?.length !== 1}
            onInput={(event) => setText(event.currentTarget.value)}
            onChange={(event) => {
              const [next, ...others] = readCurve(event.currentTarget.value) ?? [];
              if (next !== undefined && others.length === 0) weigh(next);
              setText(null);
            }}
          />
        </label>
      )}
      <button type="button" class="ms-close" aria-label="Close" title="Close (Esc)" onClick={close}>
        ×
      </button>
    </div>
  );
}

function cellAt(columns: Section[], place: number): { section: Section; inside: number } | null {
  let before = 0;
  for (const section of columns) {
    if (place < before + section.labels.length) return { section, inside: place - before };
    before += section.labels.length;
  }
  return null;
}
