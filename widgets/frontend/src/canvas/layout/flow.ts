// Lays out one data flow from left to right: dagre, or columns where there are too many nodes for it.
import dagre from "@dagrejs/dagre";
import { type Box, bottom, right, type SceneEdge } from "../scene";
import { inColumns } from "./columns";
import { route } from "./routes";

export interface Sized {
  id: string;
  w: number;
  h: number;
}

export interface Gaps {
  rank: number;
  node: number;
}

/** A wire between two nodes, each named by its place in the list. */
export interface Wire {
  source: number;
  target: number;
  residual: boolean;
}

/** All that positions hang on, without the names: equal tasks have equal layouts. */
export interface FlowTask {
  sizes: { w: number; h: number }[];
  wires: Wire[];
  gaps: Gaps;
}

/** Positions from (0, 0) on, in the order of the task; residual lanes are included in the height. */
export interface FlowLayout {
  boxes: Box[];
  paths: SceneEdge["points"][];
  w: number;
  h: number;
}

/** dagre takes seconds from here on, and overflows the stack a little later. */
const MOST_FOR_DAGRE = 700;

export function computeFlow({ sizes, wires, gaps }: FlowTask): FlowLayout {
  const siblings = siblingsOf(sizes, wires);
  const nodes = sameWidth(sizes, siblings);
  const boxes = placed({ sizes: nodes, wires, gaps });
  moveToOrigin(boxes);
  for (const group of siblings) putInOrder(group, boxes);
  let lowest = 0;
  let rightmost = 0;
  for (const box of boxes) {
    lowest = Math.max(lowest, bottom(box));
    rightmost = Math.max(rightmost, right(box));
  }
  const { paths, foot } = route(boxes, wires, lowest);
  return { boxes, paths, w: rightmost, h: foot };
}

function placed(task: FlowTask): Box[] {
  if (task.sizes.length > MOST_FOR_DAGRE) return inColumns(task);
  try {
    return withDagre(task);
  } catch {
    // A flow that dagre cannot take is still drawn.
    return inColumns(task);
  }
}

function withDagre({ sizes, wires, gaps }: FlowTask): Box[] {
  const straight = new Set<number>();
  for (const wire of wires) if (!wire.residual) straight.add(wire.source).add(wire.target);
  // A residual edge would bend the main line, so it shapes the layout only where nothing else holds a node.
  const shaping = wires.filter(
    (wire) => !wire.residual || !straight.has(wire.source) || !straight.has(wire.target),
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
  sizes.forEach(({ w, h }, i) => {
    graph.setNode(String(i), { width: w, height: h });
  });
  for (const { source, target } of shaping) graph.setEdge(String(source), String(target), {});
  dagre.layout(graph);
  return sizes.map(({ w, h }, i) => {
    const at = graph.node(String(i)) as { x: number; y: number };
    return { x: at.x - w / 2, y: at.y - h / 2, w, h };
  });
}

/** Nodes with the same neighbours on both sides, in the order in which they were given: q, k, v. */
function siblingsOf(sizes: FlowTask["sizes"], wires: readonly Wire[]): number[][] {
  const before = sizes.map(() => [] as number[]);
  const after = sizes.map(() => [] as number[]);
  for (const { source, target } of wires) {
    before[target]?.push(source);
    after[source]?.push(target);
  }
  const groups = new Map<string, number[]>();
  sizes.forEach(({ h }, i) => {
    const key = `${before[i]?.sort().join()}|${after[i]?.sort().join()}|${h}`;
    const group = groups.get(key);
    if (group) group.push(i);
    else groups.set(key, [i]);
  });
  return [...groups.values()].filter((group) => group.length > 1);
}

function sameWidth(sizes: FlowTask["sizes"], siblings: number[][]): FlowTask["sizes"] {
  const widths = new Map<number, number>();
  for (const group of siblings) {
    const w = Math.max(...group.map((i) => sizes[i]?.w ?? 0));
    for (const i of group) widths.set(i, w);
  }
  return sizes.map((size, i) => ({ w: widths.get(i) ?? size.w, h: size.h }));
}

/** dagre orders siblings as it likes; a reader expects the order of the code. */
function putInOrder(group: readonly number[], boxes: Box[]): void {
  const places = group.map((i) => (boxes[i] as Box).y).sort((a, b) => a - b);
  group.forEach((i, place) => {
    (boxes[i] as Box).y = places[place] as number;
  });
}

function moveToOrigin(boxes: readonly Box[]): void {
  let left = Infinity;
  let top = Infinity;
  for (const box of boxes) {
    left = Math.min(left, box.x);
    top = Math.min(top, box.y);
  }
  for (const box of boxes) {
    box.x -= left;
    box.y -= top;
  }
}
