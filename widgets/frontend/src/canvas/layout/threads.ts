// Ties as threads: arcs above cards and below cells where the way is free, else along the lanes. Pure geometry.

import { tieColour } from "../../shared/palette";
import type { TieState } from "../protocol";
import { type Box, bottom, centreX, type Fading, type Point, type Scene } from "../scene";
import { type Arc, type Ground, groundOf, linked, wordSide } from "./arcs";

export interface Thread extends Fading {
  /** What is tied, whatever its paths are called in this state. */
  key: string;
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
  arcs: Arc[];
  /** Where the number stands; null where a neighbour's number already stands there. */
  glyph: Point | null;
  /** On which side of it a word has room. */
  word: -1 | 1 | null;
}

export interface Anchor {
  /** Of the cell or node, whatever its path is in this state. */
  id: string;
  x: number;
  top: number;
  bottom: number;
  kind: "card" | "cell" | "open";
  inStrip: boolean;
  /** What is drawn: the card itself, or the strip. */
  box: Box;
}

const STRIP_FOOT = 20;
const STRIP_TOP = 10;
const GLYPH_ROOM = 17;
/** A bundle's count is wider than a number. */
const COUNT_ROOM = 40;

export function threadsOf(ties: readonly TieState[], scene: Scene): Thread[] {
  if (ties.length === 0) return [];
  const anchors = anchorsOf(scene);
  const threads: Thread[] = [];
  for (const level of ["overview", "open"] as const) {
    const ground = groundOf(scene, level);
    for (const tie of ties) {
      const found = new Map<Anchor, string>();
      for (const path of tie.ends) {
        const anchor = anchorFor(path, anchors, level);
        if (anchor && !found.has(anchor)) found.set(anchor, path);
      }
      const distinct = [...found].sort(([a], [b]) => a.x - b.x);
      if (distinct.length >= (level === "open" ? 2 : 1)) threads.push(makeThread(tie, distinct, ground));
    }
  }
  return thinGlyphs(threads, 1);
}

function anchorsOf(scene: Scene): Map<string, Anchor> {
  const anchors = new Map<string, Anchor>();
  const add = (nodes: Scene["nodes"], kind: "open" | "card") => {
    for (const node of nodes) {
      if (node.kind !== "strip" && node.path) {
        const [x, top, foot] = [centreX(node), node.y, bottom(node)];
        anchors.set(node.path, { id: node.id, x, top, bottom: foot, kind, inStrip: false, box: node });
      }
      for (const cell of node.cells) {
        const [top, foot] = [cell.y - STRIP_TOP, bottom(cell) + STRIP_FOOT];
        const id = `cell ${cell.cell.origin || cell.cell.path}`;
        const inCard = kind === "open" ? kind : "cell";
        const at = { x: centreX(cell), top, bottom: foot };
        anchors.set(cell.cell.path, { ...at, id, kind: inCard, inStrip: true, box: node });
      }
    }
  };
  add(scene.card?.nodes ?? [], "open");
  add(scene.nodes, "card");
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

function makeThread(tie: TieState, tied: [Anchor, string][], ground: Ground): Thread {
  const anchors = tied.map(([anchor]) => anchor);
  const paths = tied.map(([, path]) => path);
  const { index, pending } = tie;
  const key = `${ground.level} ${anchors.map((anchor) => anchor.id).join(" ")}`;
  const { ends, arcs, side } = linked(anchors, ground);
  const glyph = glyphOf(arcs, ends, side);
  const word = glyph && wordSide(glyph, side, ground);
  const said = { key, index, pending, colour: tieColour(index), paths };
  return { ...said, count: 1, reach: [], side, ends, arcs, glyph, word };
}

/** On the widest arc; beside the end of a thread that has one only. */
export function glyphOf(arcs: Thread["arcs"], ends: readonly Point[], side: Thread["side"]): Point | null {
  const widest = arcs.reduce<Arc | null>(
    (best, arc) => (best && best.to.x - best.from.x >= arc.to.x - arc.from.x ? best : arc),
    null,
  );
  const [end] = ends;
  return widest ? apex(widest) : end ? { x: end.x, y: end.y + side * 14 } : null;
}

/** The middle of the curve, three quarters of the way to its control points; of a lane, of its longest piece. */
function apex({ from, to, bulge, via }: Arc): Point {
  if (via.length === 0) return { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 + bulge * 0.75 };
  const way = [from, ...via, to];
  let longest = { at: from, size: -1 };
  for (let i = 1; i < way.length; i++) {
    const [a, b] = [way[i - 1] as Point, way[i] as Point];
    const size = Math.abs(a.x - b.x) + Math.abs(a.y - b.y);
    if (size > longest.size) longest = { at: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }, size };
  }
  return longest.at;
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
    thread.arcs.map(({ from, to, bulge, via }) => {
      const ys = [from.y, to.y, ...via.map(({ y }) => y)];
      const xs = [from.x, to.x, ...via.map(({ x }) => x)];
      const more = thread.pending ? 26 : 10;
      const top = Math.min(...ys) + (bulge < 0 ? bulge * 0.75 - more : 0);
      const foot = Math.max(...ys) + (bulge > 0 ? bulge * 0.75 + more : 0);
      const x = Math.min(...xs);
      return { x, y: top, w: Math.max(...xs) - x, h: foot - top };
    }),
  );
}
