// Lays out one data flow from left to right with dagre, then routes its edges.
import dagre from "@dagrejs/dagre";
import type { FlowEdge } from "./protocol";
import { type Box, bottom, centreX, centreY, type Point, right, type SceneEdge } from "./scene";

export interface Sized {
  id: string;
  w: number;
  h: number;
}

export interface Flow {
  boxes: Map<string, Box>;
  edges: SceneEdge[];
  w: number;
  h: number;
}

export interface Gaps {
  rank: number;
  node: number;
}

const LANE_GAP = 11;
const LANE_FIRST = 26;
const BEND = 6;

const MOST_REMEMBERED = 32;
const remembered = new Map<string, Flow>();

/**
 * Positions from (0, 0) on, residual lanes included in the height. Flows that differ in their ids only
 * (the blocks of one strip) are laid out once.
 */
export function layoutFlow(nodes: readonly Sized[], edges: readonly FlowEdge[], gaps: Gaps): Flow {
  const place = new Map(nodes.map((node, i) => [node.id, String(i)]));
  const numbered = nodes.map((node, i) => ({ ...node, id: String(i) }));
  const wired = edges.flatMap(({ source, target, residual }) => {
    const from = place.get(source);
    const to = place.get(target);
    return from === undefined || to === undefined ? [] : [{ source: from, target: to, residual }];
  });
  const siblings = siblingsOf(numbered, wired);
  const sized = sameWidth(numbered, siblings);
  const key = JSON.stringify([sized, wired, gaps]);
  let flow = remembered.get(key);
  if (!flow) {
    flow = computeFlow(sized, wired, gaps, siblings);
    if (remembered.size >= MOST_REMEMBERED) remembered.clear();
    remembered.set(key, flow);
  }
  const found = flow.boxes;
  return { ...flow, boxes: new Map(nodes.map((node, i) => [node.id, found.get(String(i)) as Box])) };
}

function computeFlow(
  nodes: readonly Sized[],
  edges: readonly FlowEdge[],
  gaps: Gaps,
  siblings: Sized[][],
): Flow {
  const straight = new Set<string>();
  for (const edge of edges) if (!edge.residual) straight.add(edge.source).add(edge.target);
  // A residual edge would bend the main line, so it shapes the layout only where nothing else holds a node.
  const shaping = edges.filter(
    (edge) => !edge.residual || !straight.has(edge.source) || !straight.has(edge.target),
  );

  const graph = new dagre.graphlib.Graph();
  graph.setGraph({
    rankdir: "LR",
    ranksep: gaps.rank,
    nodesep: gaps.node,
    edgesep: 8,
    marginx: 0,
    marginy: 0,
  });
  for (const { id, w, h } of nodes) graph.setNode(id, { width: w, height: h });
  for (const { source, target } of shaping) graph.setEdge(source, target, {});
  dagre.layout(graph);

  const boxes = new Map<string, Box>();
  for (const { id, w, h } of nodes) {
    const at = graph.node(id) as { x: number; y: number };
    boxes.set(id, { x: at.x - w / 2, y: at.y - h / 2, w, h });
  }
  moveToOrigin(boxes);
  for (const group of siblings) putInOrder(group, boxes);
  const all = [...boxes.values()];
  const lowest = Math.max(0, ...all.map(bottom));
  const lanes = residualLanes(edges, boxes);
  const routed = edges.map((edge): SceneEdge => {
    const from = boxes.get(edge.source) as Box;
    const to = boxes.get(edge.target) as Box;
    const lane = lanes.get(edge);
    if (lane !== undefined) {
      return { residual: true, points: residualPoints(from, to, lowest + LANE_FIRST + lane * LANE_GAP) };
    }
    return { residual: false, points: dataPoints(from, to, all) };
  });
  const laneCount = Math.max(0, ...[...lanes.values()].map((lane) => lane + 1));
  return {
    boxes,
    edges: routed,
    w: Math.max(0, ...all.map(right)),
    h: laneCount > 0 ? lowest + LANE_FIRST + (laneCount - 1) * LANE_GAP : lowest,
  };
}

/** Nodes with the same neighbours on both sides, in the order in which they were given: q, k, v. */
function siblingsOf(nodes: readonly Sized[], edges: readonly FlowEdge[]): Sized[][] {
  const before = new Map(nodes.map((node) => [node.id, [] as string[]]));
  const after = new Map(nodes.map((node) => [node.id, [] as string[]]));
  for (const { source, target } of edges) {
    before.get(target)?.push(source);
    after.get(source)?.push(target);
  }
  const groups = new Map<string, Sized[]>();
  for (const node of nodes) {
    const key = JSON.stringify([before.get(node.id)?.sort(), after.get(node.id)?.sort(), node.h]);
    groups.set(key, [...(groups.get(key) ?? []), node]);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

function sameWidth(nodes: readonly Sized[], siblings: Sized[][]): Sized[] {
  const widths = new Map(
    siblings.flatMap((group) => {
      const w = Math.max(...group.map((node) => node.w));
      return group.map((node) => [node.id, w] as const);
    }),
  );
  return nodes.map((node) => ({ ...node, w: widths.get(node.id) ?? node.w }));
}

/** dagre orders siblings as it likes; a reader expects the order of the code. */
function putInOrder(group: Sized[], boxes: Map<string, Box>): void {
  const places = group.map((node) => (boxes.get(node.id) as Box).y).sort((a, b) => a - b);
  group.forEach((node, i) => {
    (boxes.get(node.id) as Box).y = places[i] as number;
  });
}

/** Interval colouring: residual edges that overlap run in lanes of their own, short ones on top. */
export function residualLanes(
  edges: readonly FlowEdge[],
  boxes: ReadonlyMap<string, Box>,
): Map<FlowEdge, number> {
  const spans = edges
    .filter((edge) => edge.residual)
    .map((edge) => {
      const from = boxes.get(edge.source) as Box;
      const to = boxes.get(edge.target) as Box;
      return { edge, start: Math.min(right(from), centreX(to)), end: Math.max(right(from), centreX(to)) };
    })
    .sort((a, b) => a.end - a.start - (b.end - b.start) || a.start - b.start);
  const lanes: { start: number; end: number }[][] = [];
  const result = new Map<FlowEdge, number>();
  for (const span of spans) {
    let lane = lanes.findIndex((taken) => taken.every((t) => span.end < t.start || span.start > t.end));
    if (lane < 0) lane = lanes.push([]) - 1;
    lanes[lane]?.push(span);
    result.set(span.edge, lane);
  }
  return result;
}

/** Leaves the wire after the source, runs below everything, rises into the target from below. */
function residualPoints(from: Box, to: Box, lane_y: number): Point[] {
  const x = right(from) + BEND;
  return [
    { x, y: centreY(from) },
    { x, y: lane_y },
    { x: centreX(to), y: lane_y },
    { x: centreX(to), y: bottom(to) },
  ];
}

/** A wire from side to side; one that would run through a node passes above or below it. */
function dataPoints(from: Box, to: Box, all: readonly Box[]): Point[] {
  const start = { x: right(from), y: centreY(from) };
  const end = { x: to.x, y: centreY(to) };
  const between = all.filter((box) => box !== from && box !== to && box.x > start.x && right(box) < end.x);
  const reach = { low: Math.min(start.y, end.y) - 2, high: Math.max(start.y, end.y) + 2 };
  const inWay = between.filter((box) => box.y < reach.high && bottom(box) > reach.low);
  if (inWay.length === 0) return [start, end];
  const above = Math.min(...inWay.map((box) => box.y)) - 9;
  const below = Math.max(...inWay.map(bottom)) + 9;
  const middle = (start.y + end.y) / 2;
  const y = Math.abs(above - middle) <= Math.abs(below - middle) ? above : below;
  const first = Math.min(...inWay.map((box) => box.x)) - 6;
  const last = Math.max(...inWay.map(right)) + 6;
  return [start, { x: first, y }, { x: last, y }, end];
}

function moveToOrigin(boxes: Map<string, Box>): void {
  const left = Math.min(...[...boxes.values()].map((box) => box.x));
  const top = Math.min(...[...boxes.values()].map((box) => box.y));
  for (const box of boxes.values()) {
    box.x -= left;
    box.y -= top;
  }
}
