// Places thousands of nodes in columns by their distance from the start: linear, and good enough to read.
import type { Box } from "../scene";
import type { FlowTask } from "./flow";

export function inColumns({ sizes, wires, gaps }: FlowTask): Box[] {
  const ranks = ranksOf(sizes.length, wires);
  const columns: number[][] = [];
  ranks.forEach((rank, i) => {
    const column = columns[rank];
    if (column) column.push(i);
    else columns[rank] = [i];
  });
  const boxes: Box[] = sizes.map(({ w, h }) => ({ x: 0, y: 0, w, h }));
  let x = 0;
  for (const column of columns) {
    if (!column) continue;
    let width = 0;
    let height = -gaps.node;
    for (const i of column) {
      const box = boxes[i] as Box;
      width = Math.max(width, box.w);
      height += box.h + gaps.node;
    }
    let y = -height / 2;
    for (const i of column) {
      const box = boxes[i] as Box;
      box.x = x + (width - box.w) / 2;
      box.y = y;
      y += box.h + gaps.node;
    }
    x += width + gaps.rank;
  }
  return boxes;
}

/** The longest way from a start to each node; a loop is cut where the walk comes back to it. */
function ranksOf(count: number, wires: FlowTask["wires"]): number[] {
  const waiting = new Array<number>(count).fill(0);
  const after: number[][] = Array.from({ length: count }, () => []);
  for (const { source, target, residual } of wires) {
    if (residual) continue;
    after[source]?.push(target);
    waiting[target] = (waiting[target] ?? 0) + 1;
  }
  const ranks = new Array<number>(count).fill(0);
  const done = new Array<boolean>(count).fill(false);
  const ready: number[] = [];
  for (let i = 0; i < count; i++) if (waiting[i] === 0) ready.push(i);
  let next = 0;
  for (let taken = 0; taken < count; taken++) {
    if (next >= ready.length) ready.push(done.indexOf(false));
    const node = ready[next++] as number;
    if (done[node]) {
      taken--;
      continue;
    }
    done[node] = true;
    for (const target of after[node] ?? []) {
      if (done[target]) continue;
      ranks[target] = Math.max(ranks[target] ?? 0, (ranks[node] ?? 0) + 1);
      waiting[target] = (waiting[target] ?? 0) - 1;
      if (waiting[target] === 0) ready.push(target);
    }
  }
  return ranks;
}
