// How the ends of a tie are joined: an arc where one is clear of every card, else a way along the lanes. Pure.
import { type Box, overlaps, type Point, type Scene } from "../scene";
import { curve, runsOver } from "./clear";
import { type Lane, laneBetween, MOST_BOXES, type Port } from "./lanes";
import type { Anchor } from "./threads";

export interface Arc {
  from: Point;
  to: Point;
  /** How far the control points lie above (negative) or below the ends. */
  bulge: number;
  /** The corners of a way along the lanes; none in an arc. */
  via: Point[];
}

/** What threads of one level go round. */
export interface Ground {
  level: "overview" | "open";
  boxes: Box[];
  /** How many threads run along lanes: each keeps another distance, so that they can be told apart. */
  laned: number;
  known: Map<string, Lane | null>;
}

/** Cards that stand above each other this exactly are tied in the gap between them. */
const STACKED = 24;
/** Over the left end of a strip stands its name. */
const NAME_ROOM = 16;
const HEADER = { top: 10, height: 28 };
/** Threads in one lane lie beside each other, so that they can be told apart. */
const BESIDE = [8, 11, 5] as const;

export function groundOf(scene: Scene, level: Ground["level"]): Ground {
  const { card } = scene;
  const nodes = level === "open" ? (card?.nodes ?? []) : scene.nodes;
  // Among more than these no way is looked for, and arcs run as they like: what they cross is a speck.
  if (nodes.length > MOST_BOXES) return { level, boxes: [], laned: 0, known: new Map() };
  const strips = nodes.filter((node) => node.kind === "strip");
  const named = level === "open" || strips.length > 1 ? strips : [];
  const names = named.map(({ x, y, w }) => ({ x, y: y - NAME_ROOM, w, h: NAME_ROOM - 1 }));
  const frame = card && (level === "open" ? { ...card, y: card.y + HEADER.top, h: HEADER.height } : card);
  const boxes = [...nodes.filter((node) => node.w > 1), ...names, ...(frame ? [frame] : [])];
  const at = boxes.map(({ x, y, w, h }) => [x, y, w, h].map(Math.round).join()).join(" ");
  return { level, boxes, laned: 0, known: remembered(`${level} ${at}`) };
}

const memory = new Map<string, Map<string, Lane | null>>();

/** The ways found among boxes that stand just so: a click that selects must not look for them again. */
function remembered(key: string): Map<string, Lane | null> {
  const found = memory.get(key) ?? new Map<string, Lane | null>();
  memory.delete(key);
  memory.set(key, found);
  const [oldest] = memory.keys();
  if (memory.size > 8 && oldest !== undefined) memory.delete(oldest);
  return found;
}

/** The anchors joined from left to right, with the side on which most of the thread lies. */
export function linked(
  anchors: readonly Anchor[],
  ground: Ground,
): { ends: Point[]; arcs: Arc[]; side: Port["side"] } {
  const usual = anchors.every((anchor) => anchor.kind === "cell") ? 1 : -1;
  const stacked = betweenStacked(anchors, ground);
  if (stacked) return { ends: [stacked.from, stacked.to], arcs: [stacked], side: 1 };
  const ports = anchors.map((anchor) => portOn(anchor, usual));
  const pairs = anchors.slice(1).map((to, i) => [anchors[i] as Anchor, to] as const);
  const arcs = pairs.map((_, i) => arcBetween(ports[i] as Port, ports[i + 1] as Port));
  if (arcs.every((arc, i) => isClear(arc, pairs[i] ?? [], ground))) return { ends: ports, arcs, side: usual };

  const margin = BESIDE[ground.laned++ % BESIDE.length] as number;
  const ends = anchors.slice(0, 1).map((anchor) => portOn(anchor, usual));
  const around = pairs.map(([from, to], i) => {
    const starts = i === 0 ? portsOf(from, usual) : ends.slice(i);
    const arc = linkOf(starts, portsOf(to, usual), [from, to], ground, margin);
    if (i === 0) ends[0] = arc.from;
    ends.push(arc.to);
    return arc;
  });
  return { ends, arcs: around, side: ends[0]?.side ?? usual };
}

interface Link extends Arc {
  from: Port;
  to: Port;
}

const portOn = (anchor: Anchor, side: Port["side"]): Port => ({
  x: anchor.x,
  y: side < 0 ? anchor.top : anchor.bottom,
  side,
});

/** The places where a thread may leave, the usual first; a cell has its label and its strip's name above it. */
function portsOf(anchor: Anchor, usual: Port["side"]): Port[] {
  if (anchor.inStrip) return [portOn(anchor, 1)];
  return [portOn(anchor, usual), portOn(anchor, usual < 0 ? 1 : -1)];
}

/** The first arc that is clear; else the shortest way along the lanes; else an arc, whatever it runs over. */
function linkOf(
  starts: readonly Port[],
  goals: readonly Port[],
  tied: readonly Anchor[],
  ground: Ground,
  margin: number,
): Link {
  for (const from of starts) {
    for (const to of goals) {
      const arc = arcBetween(from, to);
      if (from.side === to.side && isClear(arc, tied, ground)) return arc;
    }
  }
  const key = JSON.stringify([starts, goals, margin]);
  let lane = ground.known.get(key);
  if (lane === undefined) {
    lane = laneBetween(starts, goals, ground.boxes, margin);
    ground.known.set(key, lane);
  }
  return lane ? { ...lane, bulge: 0 } : arcBetween(starts[0] as Port, goals[0] as Port);
}

function arcBetween(from: Port, to: Port): Link {
  return { from, to, bulge: from.side * arcDepth(Math.abs(to.x - from.x), from.side), via: [] };
}

/** How far the control points lie from the ends: flat and short below, wide and calm above. */
export function arcDepth(span: number, side: -1 | 1): number {
  return side > 0 ? Math.min(46, 12 + span * 0.16) : Math.min(58, 22 + span * 0.06);
}

/** Whether an arc runs over nothing; what it ties may be touched where it ends. */
function isClear({ from, to, bulge }: Arc, tied: readonly Anchor[], { boxes }: Ground): boolean {
  const line = curve(from, { x: from.x, y: from.y + bulge }, { x: to.x, y: to.y + bulge }, to);
  const own = new Set(tied.map((anchor) => anchor.box));
  const others = boxes.filter((box) => !own.has(box));
  return !runsOver(line, others, 1) && !runsOver(line, [...own], -1.5);
}

const WORD = { w: 72, h: 16, above: 24, below: 8 };

/** On which side of a number words stand on nothing, `usual` first; null where there is no room. */
export function wordSide(at: Point, usual: -1 | 1, { boxes }: Ground): -1 | 1 | null {
  const room = (side: -1 | 1): Box => {
    const y = at.y + (side < 0 ? -WORD.above : WORD.below);
    return { x: at.x - WORD.w / 2, y, w: WORD.w, h: WORD.h };
  };
  const sides = [usual, usual < 0 ? 1 : -1] as const;
  return sides.find((side) => !boxes.some((box) => overlaps(box, room(side)))) ?? null;
}

/** Two cards one above the other are tied in the gap between them: an arc would run over the upper one. */
function betweenStacked(anchors: readonly Anchor[], { boxes }: Ground): Arc | null {
  const [one, two] = anchors;
  if (!one || !two || anchors.length > 2 || one.kind === "cell" || two.kind === "cell") return null;
  const [upper, lower] = one.top <= two.top ? [one, two] : [two, one];
  if (Math.abs(one.x - two.x) > STACKED || upper.bottom > lower.top) return null;
  const ends = [upper, lower].map((at) => ({ x: at.x, y: at === upper ? at.bottom : at.top }));
  const [from, to] = (one === upper ? ends : ends.reverse()) as [Point, Point];
  const others = boxes.filter((box) => box !== one.box && box !== two.box);
  return runsOver([from, to], others) ? null : { from, to, bulge: 0, via: [] };
}
