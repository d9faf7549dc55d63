// A number per pair, as a heat map: which blocks, or heads, are alike.
import { useEffect, useRef, useState } from "preact/hooks";
import { CIVIDIS, scoreColour } from "../shared/palette";
import type { Matrix, ReportMessage } from "./protocol";

interface Props {
  matrix: Matrix;
  send: (message: ReportMessage) => void;
}

/** Labels along a side; of more every so manyth. */
const LABELLED = 16;

export function HeatMap({ matrix, send }: Props) {
  const { items, ends } = matrix;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [at, setAt] = useState<[number, number] | null>(null);
  useEffect(() => (canvas.current ? paint(canvas.current, matrix) : undefined), [matrix]);
  const every = Math.max(1, Math.ceil(items.length / LABELLED));
  const labels = items.map((item, i) => (i % every === 0 ? item.label : ""));
  const cell = (event: MouseEvent): [number, number] => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const place = (part: number) => Math.min(items.length - 1, Math.max(0, Math.floor(part * items.length)));
    return [
      place((event.clientY - box.top) / (box.height || 1)),
      place((event.clientX - box.left) / (box.width || 1)),
    ];
  };
  return (
    <figure class="ms-heat" aria-label={matrix.title}>
      <figcaption>{matrix.title}</figcaption>
      <div class="ms-heat-grid">
        <Labels labels={labels} side="left" />
        <canvas
          ref={canvas}
          width={items.length}
          height={items.length}
          role="img"
          aria-label={`${matrix.title}: ${items.length} by ${items.length}, from ${ends.join(" to ")}`}
          onMouseLeave={() => setAt(null)}
          onMouseMove={(event) => setAt(cell(event))}
          onClick={(event) => {
            const paths = cell(event).map((i) => items[i]?.path ?? "");
            send({ type: "select", paths: [...new Set(paths.filter(Boolean))], mode: "set" });
          }}
        />
        <Labels labels={labels} side="below" />
      </div>
      <p class="ms-ends">
        <span>{ends[0]}</span>
        <i style={{ background: `linear-gradient(90deg, ${CIVIDIS.join(", ")})` }} />
        <span>{ends[1]}</span>
      </p>
      <p class="ms-heat-at ms-faint" aria-live="polite">
        {at ? told(matrix, at) : "Point at a cell to read it; press to select both."}
      </p>
    </figure>
  );
}

function Labels({ labels, side }: { labels: string[]; side: "left" | "below" }) {
  return (
    <div class={`ms-heat-${side} ms-faint`} aria-hidden="true">
      {labels.map((label, i) => (
        <span key={i}>{label}</span>
      ))}
    </div>
  );
}

/** What a cell says: `model.layers.3 and model.layers.5: 0.87`. */
export function told(matrix: Matrix, [row, column]: [number, number]): string {
  const names = [matrix.items[row]?.text ?? "", matrix.items[column]?.text ?? ""];
  const value = matrix.rows[row]?.[column] ?? Number.NaN;
  if (row === column) return names[0] ?? "";
  return `${names.join(" and ")}: ${Number.isFinite(value) ? value : "not comparable"}`;
}

/** From 0 for the least pair to 1 for the most; null for the diagonal and for what is no number. */
export function part(matrix: Matrix, row: number, column: number): number | null {
  const value = matrix.rows[row]?.[column] ?? Number.NaN;
  if (row === column || !Number.isFinite(value)) return null;
  return (value - matrix.low) / (matrix.high - matrix.low || 1);
}

/** A pixel per cell: the page makes them large. What has no number stays clear. */
function paint(canvas: HTMLCanvasElement, matrix: Matrix): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const size = matrix.items.length;
  context.clearRect(0, 0, size, size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const score = part(matrix, row, column);
      if (score === null) continue;
      context.fillStyle = scoreColour(score);
      context.fillRect(column, row, 1, 1);
    }
  }
}
