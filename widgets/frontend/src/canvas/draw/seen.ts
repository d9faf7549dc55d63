// What of a scene lies in the view. The lists are kept between frames, so that a frame makes none.
import { type Box, overlaps, right, type Scene, type SceneEdge, type SceneNode } from "../scene";
import { indexOf } from "../scene_index";

export interface Seen {
  nodes: SceneNode[];
  edges: SceneEdge[];
  cardNodes: SceneNode[];
  cardEdges: SceneEdge[];
  /** Boxes to draw; a cell, which has no text of its own, counts half. */
  boxes: number;
}

/** Fewer than this are looked at one by one; a scene in motion is new in every frame and has no grids. */
const FEW = 1200;
/** Rings, signs and titles stand out of their boxes by this much. */
const SLACK = 24;

export function makeSeen(): Seen {
  return { nodes: [], edges: [], cardNodes: [], cardEdges: [], boxes: 0 };
}

export function look(scene: Scene, view: Box, seen: Seen): void {
  const wide = { x: view.x - SLACK, y: view.y - SLACK, w: view.w + 2 * SLACK, h: view.h + 2 * SLACK };
  const { card } = scene;
  if (scene.nodes.length + (card?.nodes.length ?? 0) < FEW) {
    keep(scene.nodes, wide, seen.nodes);
    keep(card?.nodes ?? [], wide, seen.cardNodes);
    all(scene.edges, seen.edges);
    all(card?.edges ?? [], seen.cardEdges);
  } else {
    const index = indexOf(scene);
    index.nodes.within(wide, seen.nodes);
    index.edges.within(wide, seen.edges);
    index.cardNodes.within(wide, seen.cardNodes);
    index.cardEdges.within(wide, seen.cardEdges);
  }
  seen.boxes = seen.cardNodes.length;
  for (const node of seen.nodes) seen.boxes += 1 + cellsInView(node, wide);
  for (const node of seen.cardNodes) seen.boxes += cellsInView(node, wide);
}

/** Half the cells in that part of a strip which is in view. */
function cellsInView(node: SceneNode, view: Box): number {
  if (node.cells.length === 0) return 0;
  const width = Math.min(right(node), right(view)) - Math.max(node.x, view.x);
  return (0.5 * node.cells.length * Math.max(0, width)) / Math.max(1, node.w);
}

function keep(nodes: readonly SceneNode[], view: Box, found: SceneNode[]): void {
  found.length = 0;
  for (const node of nodes) if (overlaps(node, view)) found.push(node);
}

function all<T>(items: readonly T[], found: T[]): void {
  found.length = 0;
  for (const item of items) found.push(item);
}
