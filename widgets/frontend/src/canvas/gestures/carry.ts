// Dragging a node onto another, and a thread's end off: what is carried, and where it would land. Pure.
import type { Thread } from "../layout/threads";
import type { CanvasMessage } from "../protocol";
import type { Point, Scene } from "../scene";
import { type Hit, hitTest } from "./hit";

/** A press that moves less than this is a click. */
export const DRAG_PX = 5;
/** Smaller nodes than this cannot be picked from the ground that one pans. */
const LEAST_PX = 7;
/** So near to a thread's end one means it. */
export const END_PX = 7;

export interface CarriedNodes {
  kind: "nodes";
  sources: string[];
  /** In world pixels, like all places here. */
  at: Point;
  target: string | null;
}
export interface CarriedEnd {
  kind: "end";
  thread: Thread;
  /** Which of its ends. */
  end: number;
  at: Point;
  /** Whether letting go here unties. */
  off: boolean;
}
export type Carried = CarriedNodes | CarriedEnd;

/** What a press here would pick up; null where it pans or boxes. */
export function pickUp(
  scene: Scene,
  threads: readonly Thread[],
  at: Point,
  zoom: number,
  selection: readonly string[],
): Carried | null {
  const end = endAt(threads, at, END_PX / zoom);
  if (end) return { kind: "end", ...end, at, off: false };
  const hit = hitTest(scene, at);
  if (hit?.kind !== "node" && hit?.kind !== "cell") return null;
  // A strip is the ground of its cells.
  if (!hit.path || (hit.kind === "node" && hit.node.kind === "strip")) return null;
  if (Math.min(hit.box.w, hit.box.h) * zoom < LEAST_PX) return null;
  const sources = selection.includes(hit.path) ? [...selection] : [hit.path];
  return { kind: "nodes", sources, at, target: null };
}

/** The thread's end at a place; a bundle has none to take off. */
export function endAt(
  threads: readonly Thread[],
  { x, y }: Point,
  slack: number,
): { thread: Thread; end: number } | null {
  for (const thread of threads) {
    if (thread.pending || thread.count > 1) continue;
    const end = thread.ends.findIndex((point) => Math.hypot(point.x - x, point.y - y) <= slack);
    if (end >= 0) return { thread, end };
  }
  return null;
}

export function carriedTo(carried: Carried, scene: Scene, at: Point, zoom: number): Carried {
  const hit = hitTest(scene, at);
  if (carried.kind === "nodes") return { ...carried, at, target: landing(hit, carried.sources) };
  const from = carried.thread.ends[carried.end] as Point;
  const away = Math.hypot(from.x - at.x, from.y - at.y) * zoom > 3 * END_PX;
  return { ...carried, at, off: away && (hit === null || hit.kind === "card") };
}

/** The path that what is carried would land on: another node, not one above or inside what is carried. */
export function landing(hit: Hit | null, sources: readonly string[]): string | null {
  if (hit?.kind !== "node" && hit?.kind !== "cell") return null;
  const { path } = hit;
  const related = sources.some(
    (source) => source === path || source.startsWith(`${path}.`) || path.startsWith(`${source}.`),
  );
  return path === "" || related ? null : path;
}

/** What letting go says, if anything. */
export function dropped(carried: Carried): CanvasMessage | null {
  if (carried.kind === "nodes") {
    const { sources, target } = carried;
    return target === null ? null : { type: "drop", sources, target };
  }
  const path = carried.thread.paths[carried.end];
  return carried.off && path ? { type: "untie", paths: [path] } : null;
}
