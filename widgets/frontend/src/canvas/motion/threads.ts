// Between two sets of threads: a tie that stays slides, one that comes fades in as it rises, one that goes sinks. Pure.
import type { Arc } from "../layout/arcs";
import type { Thread } from "../layout/threads";
import type { Point } from "../scene";

/** With more than these a frame would cost more than it tells. */
const MOST_THREADS = 300;
/** How flat an arc is when it begins to show. */
const FLAT = 0.55;

/** Whether ties came or went, few enough to show how. */
export function worthFading(from: readonly Thread[], to: readonly Thread[]): boolean {
  if (Math.max(from.length, to.length) > MOST_THREADS) return false;
  const keys = new Set(from.map((thread) => thread.key));
  return from.length !== to.length || to.some((thread) => !keys.has(thread.key));
}

/** The threads `t` of the way, 0 to 1. */
export function blendThreads(from: readonly Thread[], to: readonly Thread[], t: number): Thread[] {
  const old = new Map(from.map((thread) => [thread.key, thread]));
  const coming = to.map((thread) => {
    const was = old.get(thread.key);
    if (!was || !alike(was, thread)) return risen(thread, t, t);
    old.delete(thread.key);
    return slid(was, thread, t);
  });
  const going = [...old.values()].map((thread) => risen(thread, 1 - t, (thread.alpha ?? 1) * (1 - t)));
  return [...going, ...coming];
}

const mix = (a: number, b: number, t: number): number => a + (b - a) * t;
const middle = (a: Point, b: Point, t: number): Point => ({ x: mix(a.x, b.x, t), y: mix(a.y, b.y, t) });

/** Whether each point of one has its point in the other. */
const alike = (a: Thread, b: Thread): boolean =>
  a.ends.length === b.ends.length &&
  a.arcs.length === b.arcs.length &&
  a.arcs.every((arc, i) => arc.via.length === b.arcs[i]?.via.length);

function slid(was: Thread, thread: Thread, t: number): Thread {
  const moved = (points: readonly Point[], before: readonly Point[]) =>
    points.map((at, i) => middle(before[i] ?? at, at, t));
  const arcs = thread.arcs.map((arc, i): Arc => {
    const before = was.arcs[i] ?? arc;
    return {
      from: middle(before.from, arc.from, t),
      to: middle(before.to, arc.to, t),
      bulge: mix(before.bulge, arc.bulge, t),
      via: moved(arc.via, before.via),
    };
  });
  const glyph = thread.glyph && middle(was.glyph ?? thread.glyph, thread.glyph, t);
  const alpha = was.alpha === undefined ? {} : { alpha: mix(was.alpha, 1, t) };
  return { ...thread, ends: moved(thread.ends, was.ends), arcs, glyph, ...alpha };
}

/** As far up as `part` says, and that much to be seen. */
function risen(thread: Thread, part: number, alpha: number): Thread {
  const arcs = thread.arcs.map((arc) => ({ ...arc, bulge: arc.bulge * mix(FLAT, 1, part) }));
  // The number rides on the widest arc, which is bent three quarters of its bulge.
  const widest = thread.arcs.reduce(
    (most, { bulge }) => (Math.abs(bulge) > Math.abs(most) ? bulge : most),
    0,
  );
  const sunk = 0.75 * widest * (mix(FLAT, 1, part) - 1);
  const glyph = thread.glyph && { x: thread.glyph.x, y: thread.glyph.y + sunk };
  return { ...thread, arcs, glyph, alpha };
}
