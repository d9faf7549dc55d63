// A spatial hash over boxes: what lies at a point or in a box is found without looking at the rest.
import { type Box, bottom, overlaps, type Point, right } from "./scene";

const CELL_PX = 192;
/** A box over more cells than this is kept beside the grid and always looked at: a long wire, a strip. */
const MOST_CELLS = 48;

export class Grid<T> {
  private readonly cells = new Map<number, number[]>();
  private readonly large: number[] = [];
  /** When an item was last found, so that one in several cells is found once. */
  private readonly seen: Uint32Array;
  private round = 0;
  private readonly boxes: Box[];
  private readonly columns: { from: number; to: number };
  private readonly rows: { from: number; to: number };

  constructor(
    readonly items: readonly T[],
    boxOf: (item: T) => Box,
  ) {
    this.boxes = items.map(boxOf);
    this.seen = new Uint32Array(items.length);
    this.columns = { from: Infinity, to: -Infinity };
    this.rows = { from: Infinity, to: -Infinity };
    this.boxes.forEach((box, i) => {
      const [c0, c1, r0, r1] = reach(box);
      if ((c1 - c0 + 1) * (r1 - r0 + 1) > MOST_CELLS) {
        this.large.push(i);
        return;
      }
      widen(this.columns, c0, c1);
      widen(this.rows, r0, r1);
      for (let c = c0; c <= c1; c++) {
        for (let r = r0; r <= r1; r++) {
          const at = key(c, r);
          const cell = this.cells.get(at);
          if (cell) cell.push(i);
          else this.cells.set(at, [i]);
        }
      }
    });
  }

  /** Fills `found` with the items that the box touches; the list is the caller's, so that none is made. */
  within(box: Box, found: T[]): T[] {
    found.length = 0;
    this.round++;
    for (const i of this.large) this.take(i, box, found);
    const [left, rightmost, top, lowest] = reach(box);
    const c1 = Math.min(rightmost, this.columns.to);
    const r1 = Math.min(lowest, this.rows.to);
    for (let c = Math.max(left, this.columns.from); c <= c1; c++) {
      for (let r = Math.max(top, this.rows.from); r <= r1; r++) {
        const cell = this.cells.get(key(c, r));
        if (cell) for (const i of cell) this.take(i, box, found);
      }
    }
    return found;
  }

  /** The first item, in the order given, whose box grown by `slack` holds the point. */
  at({ x, y }: Point, slack: number): T | null {
    const box = { x: x - slack, y: y - slack, w: 2 * slack, h: 2 * slack };
    let best = -1;
    const look = (i: number) => {
      const it = this.boxes[i] as Box;
      const hit = x >= it.x - slack && x <= right(it) + slack && y >= it.y - slack && y <= bottom(it) + slack;
      if (hit && (best < 0 || i < best)) best = i;
    };
    for (const i of this.large) look(i);
    const [c0, c1, r0, r1] = reach(box);
    for (let c = c0; c <= c1; c++) {
      for (let r = r0; r <= r1; r++) for (const i of this.cells.get(key(c, r)) ?? []) look(i);
    }
    return best < 0 ? null : (this.items[best] as T);
  }

  private take(i: number, box: Box, found: T[]): void {
    if (this.seen[i] === this.round) return;
    this.seen[i] = this.round;
    if (overlaps(this.boxes[i] as Box, box)) found.push(this.items[i] as T);
  }
}

function reach(box: Box): [number, number, number, number] {
  const cell = (value: number) => Math.floor(value / CELL_PX);
  return [cell(box.x), cell(right(box)), cell(box.y), cell(bottom(box))];
}

const key = (column: number, row: number): number => column * 1_048_576 + row;

function widen(range: { from: number; to: number }, from: number, to: number): void {
  range.from = Math.min(range.from, from);
  range.to = Math.max(range.to, to);
}
