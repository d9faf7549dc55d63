// The way of a thread round the cards: level and upright pieces in the lanes beside them. Pure geometry.
import { type Box, bottom, type Point, right } from "../scene";

/** Where a thread may leave what it ties: straight up (-1) or straight down (1). */
export interface Port extends Point {
  side: -1 | 1;
}
export interface Lane {
  from: Port;
  to: Port;
  /** The corners between the two. */
  via: Point[];
}

/** A corner costs as much as this way: few corners read better than short ways. */
const CORNER = 60;
/** Lanes keep this much away from every box. */
const LEAST = 3;
/** With more boxes than this a way is not looked for: nobody could follow it. */
export const MOST_BOXES = 120;

/** The cheapest way from one of `starts` to one of `goals`, `margin` beside the boxes; null where there is none. */
export function laneBetween(
  starts: readonly Port[],
  goals: readonly Port[],
  boxes: readonly Box[],
  margin: number,
): Lane | null {
  if (boxes.length > MOST_BOXES) return null;
  const mesh = meshOf([...starts, ...goals], boxes, margin);
  let best: { lane: Lane; cost: number } | null = null;
  for (const to of goals) {
    const found = walk(mesh, starts, to, margin);
    if (found && (!best || found.cost < best.cost)) best = found;
  }
  return best?.lane ?? null;
}

interface Mesh {
  xs: number[];
  ys: number[];
  /** Of each crossing: whether the piece to the right of it, or below it, runs over a box. */
  level: Uint8Array;
  upright: Uint8Array;
}

const mouth = ({ x, y, side }: Port, margin: number): Point => ({ x, y: y + side * margin });

function meshOf(ports: readonly Port[], boxes: readonly Box[], margin: number): Mesh {
  const mouths = ports.map((port) => mouth(port, margin));
  const xs = sorted([
    ...mouths.map(({ x }) => x),
    ...boxes.flatMap((box) => [box.x - margin, right(box) + margin]),
  ]);
  const ys = sorted([
    ...mouths.map(({ y }) => y),
    ...boxes.flatMap((box) => [box.y - margin, bottom(box) + margin]),
  ]);
  const level = new Uint8Array(xs.length * ys.length);
  const upright = new Uint8Array(xs.length * ys.length);
  for (const box of boxes) {
    const [x0, x1, y0, y1] = [box.x - LEAST, right(box) + LEAST, box.y - LEAST, bottom(box) + LEAST];
    ys.forEach((y, iy) => {
      xs.forEach((x, ix) => {
        const at = iy * xs.length + ix;
        if (y > y0 && y < y1 && x < x1 && (xs[ix + 1] ?? x) > x0) level[at] = 1;
        if (x > x0 && x < x1 && y < y1 && (ys[iy + 1] ?? y) > y0) upright[at] = 1;
      });
    });
  }
  return { xs, ys, level, upright };
}

const sorted = (values: number[]): number[] => [...new Set(values)].sort((a, b) => a - b);

/** Dijkstra over the crossings of the mesh, each reached level (0) or upright (1). */
function walk(
  mesh: Mesh,
  starts: readonly Port[],
  to: Port,
  margin: number,
): { lane: Lane; cost: number } | null {
  const { xs, ys } = mesh;
  const count = 2 * xs.length * ys.length;
  const costs = new Float64Array(count).fill(Infinity);
  const before = new Int32Array(count).fill(-1);
  const place = (port: Port) => {
    const { x, y } = mouth(port, margin);
    return 2 * (ys.indexOf(y) * xs.length + xs.indexOf(x)) + 1;
  };
  const queue = new Queue();
  const reach = (state: number, cost: number, from: number) => {
    if (cost >= (costs[state] as number)) return;
    costs[state] = cost;
    before[state] = from;
    queue.push(state, cost);
  };
  for (const start of starts) reach(place(start), 0, -1);
  const goal = place(to);
  for (let state = queue.pop(); state >= 0 && state !== goal; state = queue.pop()) {
    for (const [next, cost] of steps(mesh, state)) reach(next, (costs[state] as number) + cost, state);
  }
  if (costs[goal] === Infinity) return null;
  const way: Point[] = [];
  let state = goal;
  let first = goal;
  for (; state >= 0; state = before[state] as number) {
    const at = state >> 1;
    // A turn is a state of its own at the same crossing.
    if (before[state] !== (state ^ 1))
      way.unshift({ x: xs[at % xs.length] as number, y: ys[Math.floor(at / xs.length)] as number });
    first = state;
  }
  const from = starts.find((start) => place(start) === first) as Port;
  return { lane: { from, to, via: corners([from, ...way, to]) }, cost: costs[goal] as number };
}

/** What can be reached from a state in one piece or by turning on the spot. */
function* steps({ xs, ys, level, upright }: Mesh, state: number): Generator<[number, number]> {
  const at = state >> 1;
  const turned = state & 1;
  yield [state ^ 1, CORNER];
  const [ix, iy] = [at % xs.length, Math.floor(at / xs.length)];
  const far = (values: number[], i: number) => Math.abs((values[i] as number) - (values[i + 1] as number));
  if (turned === 0) {
    if (ix + 1 < xs.length && !level[at]) yield [state + 2, far(xs, ix)];
    if (ix > 0 && !level[at - 1]) yield [state - 2, far(xs, ix - 1)];
  } else {
    const row = xs.length;
    if (iy + 1 < ys.length && !upright[at]) yield [state + 2 * row, far(ys, iy)];
    if (iy > 0 && !upright[at - row]) yield [state - 2 * row, far(ys, iy - 1)];
  }
}

/** The points at which the way turns, without its two ends. */
function corners(way: readonly Point[]): Point[] {
  return way.slice(1, -1).filter((at, i) => {
    const [one, two] = [way[i] as Point, way[i + 2] as Point];
    return !((one.x === at.x && at.x === two.x) || (one.y === at.y && at.y === two.y));
  });
}

/** A binary heap of states by cost. */
class Queue {
  private readonly items: { state: number; cost: number }[] = [];

  push(state: number, cost: number): void {
    const items = this.items;
    let i = items.push({ state, cost }) - 1;
    for (let up = (i - 1) >> 1; i > 0 && (items[up]?.cost ?? 0) > cost; up = (i - 1) >> 1) {
      items[i] = items[up] as (typeof items)[0];
      i = up;
    }
    items[i] = { state, cost };
  }

  /** The cheapest; -1 where there is none. */
  pop(): number {
    const items = this.items;
    const top = items[0];
    const last = items.pop();
    if (!top || !last) return -1;
    if (items.length === 0) return top.state;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      if (down + 1 < items.length && (items[down + 1]?.cost ?? 0) < (items[down]?.cost ?? 0)) down++;
      const below = items[down];
      if (!below || below.cost >= last.cost) break;
      items[i] = below;
      i = down;
    }
    items[i] = last;
    return top.state;
  }
}
