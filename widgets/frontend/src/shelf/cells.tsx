// The cells of a parent's row: coloured by the figure, draggable, one stop of the tab key.
import { useRef, useState } from "preact/hooks";
import { scoreColour } from "../shared/palette";
import { pathOf, shade } from "./curve";
import { carry } from "./drag";
import { factsOf } from "./facts";
import type { Row, ShelfState } from "./protocol";

interface Props {
  state: ShelfState;
  row: Row;
  chosen: number | null;
  choose: (place: number) => void;
  /** The weight at a depth, null where there is none. */
  weightAt: (depth: number) => number | null;
}

export function Cells({ state, row, chosen, choose, weightAt }: Props) {
  const group = useRef<HTMLDivElement>(null);
  const [stop, setStop] = useState(0);
  const gaps = new Map(row.gaps.map(([place = 0, reason = 0]) => [place, row.reasons[reason] ?? ""]));
  const dots = new Map(row.dots.map(([place = 0, count = 0]) => [place, count]));
  const { legend } = state.heat;
  let place = -1;
  const move = (event: KeyboardEvent) => {
    const cells = [...(group.current?.querySelectorAll<HTMLElement>("button") ?? [])];
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -cells.length, End: cells.length }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.min(cells.length - 1, Math.max(0, cells.indexOf(event.target as HTMLElement) + step));
    setStop(next);
    cells[next]?.focus();
  };
  return (
    <div
      class="ms-shelf-sections ms-shelf-cells"
      role="toolbar"
      aria-label={`Blocks of ${row.alias}`}
      ref={group}
      onKeyDown={move}
    >
      {state.columns.map((section) => (
        <div key={section.path} class="ms-shelf-section" style={{ flexGrow: section.labels.length }}>
          {section.labels.map((label, inside) => {
            place += 1;
            const at = place;
            const path = pathOf(section, inside);
            const value = row.values[at] ?? null;
            const gap = gaps.get(at);
            const colour =
              value !== null && legend && gap === undefined ? scoreColour(shade(value, legend)) : "";
            const weight = weightAt(section.depths[inside] ?? 0);
            const facts = factsOf({ figure: state.heat.figure, value, gap, touched: dots.get(at), weight });
            return (
              <button
                key={label}
                type="button"
                class={gap === undefined ? (dots.has(at) ? "ms-dotted" : undefined) : "ms-gapped"}
                style={colour ? { background: colour } : undefined}
                draggable={gap === undefined}
                tabIndex={at === stop ? 0 : -1}
                aria-pressed={at === chosen}
                aria-label={`${path} of ${row.alias}: ${facts}`}
                title={`${path} of ${row.alias}\n${facts}`}
                onFocus={() => setStop(at)}
                onClick={() => choose(at)}
                onDragStart={(event) => carry(event, { kind: "block", parent: row.alias, path })}
              />
            );
          })}
        </div>
      ))}
    </div>
  );
}
