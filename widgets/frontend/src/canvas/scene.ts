// What layout makes and drawing reads: plain geometry in world pixels (1 at zoom 1).
import type { Cell, OpenNode, OverviewNode } from "./protocol";

export interface Point {
  x: number;
  y: number;
}
export interface Box extends Point {
  w: number;
  h: number;
}

/** How much of an item is there while it comes or goes; whole where it is not said. */
export interface Fading {
  alpha?: number;
}

export interface SceneCell extends Box, Fading {
  cell: Cell;
}

export interface SceneNode extends Box, Fading {
  id: string;
  kind: OverviewNode["kind"] | OpenNode["kind"];
  path: string;
  title: string;
  subtitle: string;
  ties: number[];
  opaque: string | null;
  error: string | null;
  adapted: boolean;
  mark: Cell["mark"];
  cells: SceneCell[];
}

export interface SceneEdge extends Fading {
  /** Of the nodes it runs between. */
  source: string;
  target: string;
  points: Point[];
  residual: boolean;
}

/** The opened block, hung under the overview. */
export interface SceneCard extends Box, Fading {
  path: string;
  title: string;
  subtitle: string;
  fold: Box;
  /** From the cell or node it belongs to, dotted. */
  guides: [Point, Point][];
  nodes: SceneNode[];
  edges: SceneEdge[];
}

export interface Scene {
  nodes: SceneNode[];
  edges: SceneEdge[];
  card: SceneCard | null;
  bounds: Box;
}

export type Measure = (text: string, font: string) => number;

export const right = (box: Box): number => box.x + box.w;
export const bottom = (box: Box): number => box.y + box.h;
export const centreX = (box: Box): number => box.x + box.w / 2;
export const centreY = (box: Box): number => box.y + box.h / 2;

export const contains = (box: Box, { x, y }: Point, slack = 0): boolean =>
  x >= box.x - slack && x <= right(box) + slack && y >= box.y - slack && y <= bottom(box) + slack;

export const overlaps = (a: Box, b: Box): boolean =>
  a.x < right(b) && b.x < right(a) && a.y < bottom(b) && b.y < bottom(a);

/** The smallest box around all of them; empty at the origin where there are none. */
export function around(boxes: readonly Box[]): Box {
  if (boxes.length === 0) return { x: 0, y: 0, w: 0, h: 0 };
  let [x, y, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const box of boxes) {
    x = Math.min(x, box.x);
    y = Math.min(y, box.y);
    x2 = Math.max(x2, right(box));
    y2 = Math.max(y2, bottom(box));
  }
  return { x, y, w: x2 - x, h: y2 - y };
}

const SANS = 'Inter, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, system-ui, sans-serif';
const MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
export const FONTS = {
  cardTitle: `600 12px ${SANS}`,
  title: `500 11.5px ${SANS}`,
  small: `400 10.5px ${SANS}`,
  smallStrong: `600 10.5px ${SANS}`,
  glyph: `600 10px ${SANS}`,
  join: `500 13px ${SANS}`,
  header: `600 13px ${MONO}`,
  function: `500 10.5px ${MONO}`,
} as const;

const places = new WeakMap<Scene, Map<string, Box>>();

/** Where a path is drawn: in the opened block, as a cell, or as a node of the overview. */
export function selectableBox(scene: Scene, path: string): Box | null {
  if (!path) return null;
  let known = places.get(scene);
  if (!known) {
    known = new Map();
    // The last to be written wins: an opened module is shown where it is large.
    for (const node of scene.nodes) known.set(node.path, node);
    for (const node of scene.nodes) for (const item of node.cells) known.set(item.cell.path, item);
    for (const node of scene.card?.nodes ?? []) {
      if (node.w > 0) known.set(node.path, node);
      for (const item of node.cells) known.set(item.cell.path, item);
    }
    places.set(scene, known);
  }
  return known.get(path) ?? null;
}
