// Threads that run between the same neighbourhoods become one thick thread with a count. Pure geometry.
import { arcDepth } from "./arcs";
import { glyphOf, type Thread, thinGlyphs } from "./threads";

/** Ends nearer to each other than this, in screen pixels, are in one neighbourhood; wider while many are left. */
const NEAR_PX = [22, 60, 180] as const;
const FEWEST = 3;
/** So many wide threads can be followed by eye. */
const FOLLOWED = 8;
/** More than these are not told apart; the widest, and what is pending, are kept. */
const MOST = 160;

/** What is drawn of the threads at this zoom. */
export function bundled(threads: readonly Thread[], zoom: number): Thread[] {
  let result: readonly Thread[] = threads;
  for (const near of NEAR_PX) {
    result = gathered(threads, near / zoom, near === NEAR_PX[0] ? 0 : (2 * near) / zoom);
    if (result.filter((thread) => span(thread) * zoom > 2 * NEAR_PX[2]).length <= FOLLOWED) break;
  }
  const kept =
    result.length > MOST ? [...result].sort((a, b) => weight(b) - weight(a)).slice(0, MOST) : result;
  // Numbers keep their size on the screen when the picture shrinks, up to a point.
  return thinGlyphs(kept, Math.min(1.75, Math.max(1, 1 / zoom)));
}

/** Those wider than `least` whose ends lie in the same squares of side `near`, as one. */
function gathered(threads: readonly Thread[], near: number, least: number): Thread[] {
  const place = (value: number) => Math.floor(value / near);
  const groups = new Map<string, Thread[]>();
  const result: Thread[] = [];
  for (const thread of threads) {
    const arc = thread.arcs[0];
    if (thread.pending || thread.arcs.length !== 1 || !arc || span(thread) < least) {
      result.push(thread);
      continue;
    }
    const { from, to, via } = arc;
    const key = [thread.side, via.length > 0, place(from.x), place(from.y), place(to.x), place(to.y)].join();
    const group = groups.get(key);
    if (group) group.push(thread);
    else groups.set(key, [thread]);
  }
  for (const group of groups.values()) {
    if (group.length < FEWEST) result.push(...group);
    else result.push(bundle(group));
  }
  return result;
}

function bundle(group: readonly Thread[]): Thread {
  const first = group[0] as Thread;
  const mean = (pick: (thread: Thread) => number) =>
    group.reduce((sum, thread) => sum + pick(thread), 0) / group.length;
  const end = (i: 0 | 1) => ({
    x: mean((thread) => thread.ends[i]?.x ?? 0),
    y: mean((thread) => thread.ends[i]?.y ?? 0),
  });
  const [from, to] = [end(0), end(1)];
  const arcs = [{ from, to, bulge: first.side * arcDepth(Math.abs(to.x - from.x), first.side), via: [] }];
  const reach = ([0, 1] as const).map((i) => {
    const xs = group.map((thread) => thread.ends[i]?.x ?? 0);
    return { from: Math.min(...xs), to: Math.max(...xs) };
  });
  const lane = group[group.length >> 1];
  // Ways along the lanes have no mean: the one in the middle stands for all.
  const line = lane?.arcs.some((arc) => arc.via.length > 0)
    ? { ends: lane.ends, arcs: lane.arcs }
    : { ends: [from, to], arcs };
  const alike = group.every((thread) => thread.colour === first.colour);
  return {
    ...first,
    colour: alike ? first.colour : null,
    count: group.length,
    reach,
    ...line,
    paths: [],
    glyph: glyphOf(line.arcs, line.ends, first.side),
  };
}

const span = (thread: Thread) => Math.max(0, ...thread.arcs.map((arc) => Math.abs(arc.to.x - arc.from.x)));
const weight = (thread: Thread) => (thread.pending ? Infinity : span(thread) * thread.count);
