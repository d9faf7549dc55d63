// Ties as threads: arcs above cards, below cells, each with its number. Pure geometry.

import { tieColour } from "../../shared/palette";
import type { TieState } from "../protocol";
import { type Box, bottom, centreX, type Point, type Scene } from "../scene";

export interface Thread {
  index: number;
  pending: boolean;
  /** Null for a bundle of several colours. */
  colour: string | null;
  /** How many ties it stands for. */
  count: number;
  /** Of a bundle: from where to where its ties reach at each end. */
  reach: { from: number; to: number }[];
  /** -1 bulges upwards, 1 downwards. */
  side: -1 | 1;
  ends: Point[];
  /** Of each end: what is tied there. */
  paths: string[];
  arcs: { from: Point; to: Point; depth: number }[];
  /** Where the number stands; null where a neighbour's number already stands there. */
  glyph: Point | null;
}

interface Anchor {
  x: number;
  top: number;
  bottom: number;
  kind: "card" | "cell" | "open";
}

const STRIP_FOOT = 20;
const STACKED = 24;
const GLYPH_ROOM = 17;
/** A bundle's count is wider than a number. */
const COUNT_ROOM = 40;

export function threadsOf(ties: readonly TieState[], scene: Scene): Thread[] {
  const anchors = anchorsOf(scene);
  const threads: Thread[] = [];
  for (const tie of ties) {
    for (const level of ["overview", "open"] as const) {
      const found = new Map<Anchor, string>();
      for (const path of tie.ends) {
        const anchor = anchorFor(path, anchors, level);
        if (anchor && !found.has(anchor)) found.set(anchor, path);
      }
      const distinct = [...found].sort(([a], [b]) => a.x - b.x);
      if (distinct.length >= (level === "open" ? 2 : 1)) threads.push(makeThread(tie, distinct));
    }
  }
  return thinGlyphs(threads, 1);
}

function anchorsOf(scene: Scene): Map<string, Anchor> {
  const anchors = new Map<string, Anchor>();
  for (const node of scene.card?.nodes ?? []) {
    if (node.path)
      anchors.set(node.path, { x: centreX(node), top: node.y, bottom: bottom(node), kind: "open" });
    for (const cell of node.cells) {
      const foot = bottom(cell) + STRIP_FOOT;
      anchors.set(cell.cell.path, { x: centreX(cell), top: cell.y - 10, bottom: foot, kind: "open" });
    }
  }
  for (const node of scene.nodes) {
    if (node.kind !== "strip" && node.path) {
      anchors.set(node.path, { x: centreX(node), top: node.y, bottom: bottom(node), kind: "card" });
    }
    for (const cell of node.cells) {
      const foot = bottom(cell) + STRIP_FOOT;
      anchors.set(cell.cell.path, { x: centreX(cell), top: cell.y - 10, bottom: foot, kind: "cell" });
    }
  }
  return anchors;
}

/** The anchor of a path, or in the overview of the nearest module above it that is drawn. */
function anchorFor(path: string, anchors: Map<string, Anchor>, level: "overview" | "open"): Anchor | null {
  for (let at = path; at; at = at.slice(0, Math.max(0, at.lastIndexOf(".")))) {
    const anchor = anchors.get(at);
    if (anchor && (anchor.kind === "open") === (level === "open")) return anchor;
    // Inside an opened block only the module itself or the owner of a parameter counts.
    if (level === "open" && anchor) return null;
  }
  return null;
}

function makeThread(tie: TieState, tied: [Anchor, string][]): Thread {
  const anchors = tied.map(([anchor]) => anchor);
  const paths = tied.map(([, path]) => path);
  const { index, pending } = tie;
  const common = { index, pending, colour: tieColour(index), count: 1, reach: [], paths };
  const stacked = betweenStacked(anchors);
  if (stacked) {
    const { from, to } = stacked;
    const glyph = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
    return { ...common, side: 1, ends: [from, to], arcs: [{ from, to, depth: 0 }], glyph };
  }
  const below = anchors.every((anchor) => anchor.kind === "cell");
  const side = below ? 1 : -1;
  const ends = anchors.map((anchor) => ({ x: anchor.x, y: below ? anchor.bottom : anchor.top }));
  const arcs = ends.slice(1).map((to, i) => {
    const from = ends[i] as Point;
    return { from, to, depth: arcDepth(Math.abs(to.x - from.x), side) };
  });
  return { ...common, side, ends, arcs, glyph: glyphOf(arcs, ends, side) };
}

/** Two cards one above the other are tied in the gap between them: an arc would run over the upper one. */
function betweenStacked(anchors: readonly Anchor[]): { from: Point; to: Point } | null {
  const [one, two] = anchors;
  if (!one || !two || anchors.length > 2 || one.kind === "cell" || two.kind === "cell") return null;
  const [upper, lower] = one.top <= two.top ? [one, two] : [two, one];
  if (Math.abs(one.x - two.x) > STACKED || upper.bottom > lower.top) return null;
  const ends = [upper, lower].map((at) => ({ x: at.x, y: at === upper ? at.bottom : at.top }));
  const [from, to] = one === upper ? ends : ends.reverse();
  return { from: from as Point, to: to as Point };
}

/** On the widest arc; beside the end of a thread that has one only. */
export function glyphOf(arcs: Thread["arcs"], ends: readonly Point[], side: Thread["side"]): Point | null {
  const widest = arcs.reduce<Thread["arcs"][number] | null>(
    (best, arc) => (best && best.to.x - best.from.x >= arc.to.x - arc.from.x ? best : arc),
    null,
  );
  const [end] = ends;
  return widest ? apex(widest, side) : end ? { x: end.x, y: end.y + side * 14 } : null;
}

/** How far the control points lie from the ends: flat and short below, wide and calm above. */
export function arcDepth(span: number, side: -1 | 1): number {
  return side > 0 ? Math.min(46, 12 + span * 0.16) : Math.min(58, 22 + span * 0.06);
}

/** The middle of the cubic, three quarters of the way to its control points. */
function apex({ from, to, depth }: Thread["arcs"][number], side: -1 | 1): Point {
  return { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 + side * depth * 0.75 };
}

/** Numbers that would lie on each other are left out; what is pending and wide keeps its own. */
export function thinGlyphs(threads: readonly Thread[], growth: number): Thread[] {
  const cellSize = COUNT_ROOM * growth;
  const taken = new Map<string, { at: Point; room: number }[]>();
  const cell = (value: number) => Math.floor(value / cellSize);
  const dropped = new Set<Thread>();
  const span = (thread: Thread) => Math.max(0, ...thread.arcs.map((arc) => arc.to.x - arc.from.x));
  const first = [...threads].sort(
    (a, b) => Number(b.pending) - Number(a.pending) || b.count - a.count || span(b) - span(a),
  );
  for (const thread of first) {
    const at = thread.glyph;
    if (!at) continue;
    const room = (thread.count > 1 ? COUNT_ROOM : thread.index > 99 ? 24 : GLYPH_ROOM) * growth;
    const around = [-1, 0, 1].flatMap((dx) =>
      [-1, 0, 1].flatMap((dy) => taken.get(`${cell(at.x) + dx} ${cell(at.y) + dy}`) ?? []),
    );
    const crowded = around.some(
      (other) =>
        Math.abs(other.at.x - at.x) < (room + other.room) / 2 &&
        Math.abs(other.at.y - at.y) < GLYPH_ROOM * growth,
    );
    if (crowded) {
      dropped.add(thread);
      continue;
    }
    const key = `${cell(at.x)} ${cell(at.y)}`;
    taken.set(key, [...(taken.get(key) ?? []), { at, room }]);
  }
  return threads.map((thread) => (dropped.has(thread) ? { ...thread, glyph: null } : thread));
}

/** The room that threads take, as boxes, numbers included. */
export function threadExtent(threads: readonly Thread[]): Box[] {
  return threads.flatMap((thread) =>
    thread.arcs.map(({ from, to, depth }) => {
      const reach = depth * 0.75 + (thread.pending ? 26 : 10);
      const top = thread.side < 0 ? Math.min(from.y, to.y) - reach : Math.min(from.y, to.y);
      return { x: from.x, y: top, w: to.x - from.x, h: reach };
    }),
  );
}
