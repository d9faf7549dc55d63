// The metric over the measured states, in the order they were made.
import type { HistoryNode } from "./protocol";

const SIZE = { w: 64, h: 16, margin: 2.5 };

/** Places of the measured states in a box of `SIZE`; none where fewer than two were measured. */
export function sparkline(states: readonly HistoryNode[]): { x: number; y: number; current: boolean }[] {
  const measured = states.filter((state) => state.value !== null);
  if (measured.length < 2) return [];
  const values = measured.map((state) => state.value ?? 0);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const room = { w: SIZE.w - 2 * SIZE.margin, h: SIZE.h - 2 * SIZE.margin };
  return measured.map((state, place) => ({
    x: SIZE.margin + (room.w * place) / (measured.length - 1),
    y: SIZE.margin + room.h * (1 - ((state.value ?? 0) - low) / span),
    current: state.current,
  }));
}

export function Sparkline({ states }: { states: readonly HistoryNode[] }) {
  const points = sparkline(states);
  if (points.length === 0) return null;
  const metrics = states.map((state) => state.metric).filter((metric) => metric !== null);
  const said = `the metric over the measured states: ${metrics.join(", ")}`;
  return (
    <svg class="ms-sparkline" width={SIZE.w} height={SIZE.h} role="img" aria-label={said}>
      <title>{said}</title>
      <polyline points={points.map(({ x, y }) => `${x},${y}`).join(" ")} />
      {points.map(({ x, y, current }) => (
        <circle key={x} cx={x} cy={y} r={current ? 2.5 : 1.5} class={current ? "ms-current" : undefined} />
      ))}
    </svg>
  );
}
