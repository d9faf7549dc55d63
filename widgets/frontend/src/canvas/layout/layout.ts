// The whole picture: the overview in a row, and the opened block hung under its cell.

import type { CanvasState, OpenBlock, OpenNode, OverviewNode } from "../protocol";
import {
  around,
  type Box,
  bottom,
  centreX,
  FONTS,
  type Measure,
  type Scene,
  type SceneCard,
  type SceneCell,
  type SceneNode,
} from "../scene";
import type { Sized } from "./flow";
import { type Flow, type LayFlow, layFlowNow } from "./flows";

/** Widths given before, by node id: an edit that shortens a text or a strip must not move the rest. */
export type Widths = Map<string, number>;

/** `name` is the room above it for its name; as much is kept below, so that it stays in the middle. */
const STRIP = { height: 68, inset: 9.5, top: 10, cell: 38, gap: 3, name: 15 };
/** A strip that grows keeps the width of its cells up to this length. */
const MOST_STRIP = 760;
const CARD_HEIGHT = 44;
const SMALL_HEIGHT = 32;
const OPEN_HEIGHT = 40;
const MOST_WIDTH = 220;
const HANG = 92;
const HEADER = 56;
const PAD = 18;

/** Null while one of its flows is still being laid out. */
export function layoutScene(
  state: CanvasState,
  measure: Measure,
  widths: Widths,
  lay: LayFlow = layFlowNow,
): Scene | null {
  const nodes = state.overview.nodes;
  const sizes = nodes.map((node) =>
    // A text may stand in a wide box; a strip with a wide gap looks broken.
    stable(widths, overviewSize(node, measure, widths), node.kind === "strip" ? 0.7 : 0.5),
  );
  const laid = lay(sizes, state.overview.edges, { rank: 22, node: 26 });
  if (!laid) return null;
  const flow = withNames(laid, nodes);
  const placed = nodes.map((node): SceneNode => {
    const box = flow.boxes.get(node.id) as Box;
    return { ...node, ...box, adapted: false, cells: placeCells(node, box, widths) };
  });
  const overview = around(placed);
  const card = state.open ? hang(state.open, placed, overview, measure, widths, lay) : null;
  if (state.open && !card) return null;
  const bounds = around([overview, ...(card ? [card] : [])]);
  return { nodes: placed, edges: flow.edges, card, bounds };
}

/** Width of one cell with its gap: wide for ten blocks, thin for eighty, a strip never a mile long. */
export function cellPitch(count: number): number {
  return Math.min(44, Math.max(9, 543 / Math.max(1, count)));
}

function overviewSize(node: OverviewNode, measure: Measure, widths: Widths): Sized {
  const { id } = node;
  if (node.kind === "strip") return stripSize(node, measure, widths);
  if (node.kind === "join") return { id, w: 18, h: 18 };
  const w = textWidth(node.title, node.subtitle, measure, FONTS.cardTitle);
  if (node.kind === "card" || node.kind === "function")
    return { id, w, h: node.subtitle ? CARD_HEIGHT : SMALL_HEIGHT };
  return { id, w: w - 12, h: 24 };
}

function stripSize(node: OverviewNode | OpenNode, measure: Measure, widths: Widths): Sized {
  // From some way off the label is written larger than it is.
  const label = 1.4 * measure(node.title, FONTS.small);
  const count = node.cells.length;
  const before = count * (widths.get(pitchOf(node.id)) ?? Infinity);
  const length = before <= MOST_STRIP ? before : count * cellPitch(count);
  return { id: node.id, w: Math.max(label, length + 2 * STRIP.inset), h: STRIP.height + 2 * STRIP.name };
}

/** The layout with strips as tall as they are drawn: no wire and no neighbour came into the room for names. */
function withNames(flow: Flow, nodes: readonly { id: string; kind: string }[]): Flow {
  const strips = new Set(nodes.filter((node) => node.kind === "strip").map((node) => node.id));
  if (strips.size === 0) return flow;
  const boxes = new Map(flow.boxes);
  for (const id of strips) {
    const box = boxes.get(id) as Box;
    boxes.set(id, { ...box, y: box.y + STRIP.name, h: STRIP.height });
  }
  const edges = flow.edges.map((edge) => {
    const last = edge.points.at(-1);
    if (!edge.residual || !last || !strips.has(edge.target)) return edge;
    const end = { x: last.x, y: bottom(boxes.get(edge.target) as Box) };
    return { ...edge, points: [...edge.points.slice(0, -1), end] };
  });
  return { ...flow, boxes, edges };
}

function openSize(node: OpenNode, measure: Measure, widths: Widths): Sized {
  const { id } = node;
  if (node.kind === "strip") return stripSize(node, measure, widths);
  if (node.kind === "join") return { id, w: 18, h: 18 };
  if (node.kind === "input" || node.kind === "output") return { id, w: 1, h: 1 };
  const font = node.kind === "function" ? FONTS.function : FONTS.title;
  const w = textWidth(node.title, node.subtitle, measure, font);
  return { id, w: Math.max(56, w), h: node.subtitle ? OPEN_HEIGHT : SMALL_HEIGHT - 4 };
}

function textWidth(title: string, subtitle: string, measure: Measure, font: string): number {
  const text = Math.max(measure(title, font), measure(subtitle, FONTS.small));
  return Math.min(MOST_WIDTH, 4 * Math.ceil((text + 22) / 4));
}

/** Keeps a width once given unless the node outgrows it or shrinks to less than this part of it. */
export function stable(widths: Widths, sized: Sized, least = 0.5): Sized {
  const before = widths.get(sized.id);
  const w = before !== undefined && sized.w <= before && sized.w > before * least ? before : sized.w;
  widths.set(sized.id, w);
  return { ...sized, w };
}

const pitchOf = (id: string): string => `pitch:${id}`;

/** Cells keep their width when some of them go; the strip is filled anew when it would be half empty. */
function placeCells(node: OverviewNode | OpenNode, box: Box, widths: Widths): SceneCell[] {
  const count = node.cells.length;
  if (count === 0) return [];
  const room = box.w - 2 * STRIP.inset;
  const before = widths.get(pitchOf(node.id));
  const fits = before !== undefined && count * before <= room + 0.5 && count * before > room / 2;
  const pitch = fits ? before : room / count;
  widths.set(pitchOf(node.id), pitch);
  const gap = Math.min(STRIP.gap, pitch * 0.18);
  return node.cells.map((cell, i) => ({
    cell,
    x: box.x + STRIP.inset + i * pitch + gap / 2,
    y: box.y + STRIP.top,
    w: pitch - gap,
    h: STRIP.cell,
  }));
}

function hang(
  open: OpenBlock,
  placed: SceneNode[],
  overview: Box,
  measure: Measure,
  widths: Widths,
  lay: LayFlow,
): SceneCard | null {
  const inside = new Map<string, number>();
  const sizes = open.nodes.map((node) => stable(inside, openSize(node, measure, inside)));
  const laid = lay(sizes, open.edges, { rank: 24, node: 14 });
  if (!laid) return null;
  const flow = withNames(laid, open.nodes);
  const natural = Math.max(flow.w + 2 * PAD, overview.w, 320);
  const w = stable(widths, { id: `open:${open.path}`, w: natural, h: 0 }).w;
  const x = centreX(overview) - w / 2;
  const y = bottom(overview) + HANG;
  const h = HEADER + Math.max(flow.h, 40) + 30;
  const shift = { x: x + (w - flow.w) / 2, y: y + HEADER };

  // Input and output are places on the card's edge, so that the wire comes in from outside.
  const kinds = new Map(open.nodes.map((node) => [node.id, node.kind]));
  const edgeOf = (id: string) => (kinds.get(id) === "input" ? x : kinds.get(id) === "output" ? x + w : null);
  const nodes = open.nodes.map((node): SceneNode => {
    const box = flow.boxes.get(node.id) as Box;
    const atEdge = edgeOf(node.id);
    const place = {
      x: atEdge ?? box.x + shift.x,
      y: box.y + shift.y,
      w: atEdge === null ? box.w : 0,
      h: box.h,
    };
    return { ...node, ...place, cells: placeCells(node, place, inside) };
  });
  const edges = flow.edges.map((edge) => {
    const points = edge.points.map((point) => ({ x: point.x + shift.x, y: point.y + shift.y }));
    const start = edgeOf(edge.source);
    const end = edgeOf(edge.target);
    const first = points[0];
    const second = points[1];
    const last = points[points.length - 1];
    if (start !== null && first) {
      if (edge.residual && second) first.x = second.x = start + 7;
      else first.x = start;
    }
    if (end !== null && last && !edge.residual) last.x = end;
    return { ...edge, points };
  });
  return {
    path: open.path,
    title: open.title,
    subtitle: open.subtitle,
    x,
    y,
    w,
    h,
    fold: { x: x + w - 66, y: y + 12, w: 54, h: 26 },
    guides: guidesFrom(open.path, placed, { x, y, w, h }),
    nodes,
    edges,
  };
}

function guidesFrom(path: string, placed: SceneNode[], card: Box): SceneCard["guides"] {
  const cell = placed.flatMap((node) => node.cells).find((item) => item.cell.path === path);
  const node = placed.find((item) => item.path === path);
  const owner = cell ? { ...cell, h: STRIP.height - STRIP.top } : node;
  if (!owner) return [];
  const y = bottom(owner);
  return [
    [
      { x: owner.x, y },
      { x: card.x + Math.min(60, card.w / 8), y: card.y },
    ],
    [
      { x: owner.x + owner.w, y },
      { x: card.x + card.w - Math.min(60, card.w / 8), y: card.y },
    ],
  ];
}
