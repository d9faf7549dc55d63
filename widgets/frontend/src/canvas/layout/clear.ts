// Whether a line of the picture runs over a box. Pure geometry: curves are looked at as short straight pieces.
import { type Box, bottom, type Point, right } from "../scene";

const PIECES = 24;

/** A cubic as the points of its straight pieces. */
export function curve(from: Point, c1: Point, c2: Point, to: Point): Point[] {
  return Array.from({ length: PIECES + 1 }, (_, i) => {
    const t = i / PIECES;
    const [a, b, c, d] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
    return {
      x: a * from.x + b * c1.x + c * c2.x + d * to.x,
      y: a * from.y + b * c1.y + c * c2.y + d * to.y,
    };
  });
}

/** A wire as `wirePath` draws it: level at each of its points. */
export function wireLine(points: readonly Point[]): Point[] {
  return points.slice(1).flatMap((b, i) => {
    const a = points[i] as Point;
    const middle = (a.x + b.x) / 2;
    return Math.abs(a.y - b.y) < 0.5 ? [a, b] : curve(a, { x: middle, y: a.y }, { x: middle, y: b.y }, b);
  });
}

/** Whether the line comes nearer to a box than `slack`; a negative one lets it run along the border. */
export const runsOver = (line: readonly Point[], boxes: readonly Box[], slack = 0): boolean =>
  runOver(line, boxes, slack).next().done !== true;

/** The boxes that the line comes nearer to than `slack`. */
export function* runOver(line: readonly Point[], boxes: readonly Box[], slack = 0): Generator<Box> {
  const [left, rightmost] = [Math.min(...line.map(({ x }) => x)), Math.max(...line.map(({ x }) => x))];
  const [top, lowest] = [Math.min(...line.map(({ y }) => y)), Math.max(...line.map(({ y }) => y))];
  for (const box of boxes) {
    const [x0, x1] = [box.x - slack, right(box) + slack];
    const [y0, y1] = [box.y - slack, bottom(box) + slack];
    if (x1 <= x0 || y1 <= y0 || x1 < left || x0 > rightmost || y1 < top || y0 > lowest) continue;
    for (let i = 1; i < line.length; i++) {
      if (pieceIn(line[i - 1] as Point, line[i] as Point, x0, x1, y0, y1)) {
        yield box;
        break;
      }
    }
  }
}

/** Clips the piece to the box (Liang–Barsky): whether some of it lies inside. */
function pieceIn(a: Point, b: Point, x0: number, x1: number, y0: number, y1: number): boolean {
  let [enter, leave] = [0, 1];
  for (const [start, way, low, high] of [
    [a.x, b.x - a.x, x0, x1],
    [a.y, b.y - a.y, y0, y1],
  ] as const) {
    if (Math.abs(way) < 1e-9) {
      if (start <= low || start >= high) return false;
      continue;
    }
    const [one, two] = [(low - start) / way, (high - start) / way];
    enter = Math.max(enter, Math.min(one, two));
    leave = Math.min(leave, Math.max(one, two));
    if (enter >= leave) return false;
  }
  return true;
}
