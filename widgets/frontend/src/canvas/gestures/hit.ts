// What lies under the pointer, what lies in a box, and what comes next for an arrow key. Pure.
import {
  type Box,
  centreX,
  contains,
  overlaps,
  type Point,
  type Scene,
  type SceneCell,
  type SceneNode,
} from "../scene";
import { cellAt, indexOf } from "../scene_index";

export type Hit =
  | { kind: "node"; path: string; box: Box; node: SceneNode }
  | { kind: "cell"; path: string; box: Box; cell: SceneCell }
  | { kind: "fold"; box: Box }
  | { kind: "card"; path: string; box: Box };

const CELL_SLACK = 1.5;

export function hitTest(scene: Scene, point: Point): Hit | null {
  const { card } = scene;
  if (card && contains(card, point)) {
    if (contains(card.fold, point)) return { kind: "fold", box: card.fold };
    const node = indexOf(scene).cardNodes.at(point, 2);
    return node ? hitIn(node, point) : { kind: "card", path: card.path, box: card };
  }
  const node = indexOf(scene).nodes.at(point, 2);
  return node && hitIn(node, point);
}

function hitIn(node: SceneNode, point: Point): Hit {
  const cell = cellAt(node.cells, point.x, CELL_SLACK);
  if (cell && contains(cell, point, CELL_SLACK)) {
    return { kind: "cell", path: cell.cell.path, box: cell, cell };
  }
  return { kind: "node", path: node.path, box: node, node };
}

/** Paths of the cells and nodes that the box touches; a strip counts through its cells. */
export function pathsIn(scene: Scene, box: Box): string[] {
  const touched = selectable(scene).filter((item) => overlaps(item.box, box));
  return [...new Set(touched.map((item) => item.path))];
}

export interface Selectable {
  path: string;
  box: Box;
  level: "overview" | "open";
}

const known = new WeakMap<Scene, Selectable[]>();

/** All that can be selected, the overview first, each level from left to right. */
export function selectable(scene: Scene): readonly Selectable[] {
  const before = known.get(scene);
  if (before) return before;
  const parts = (node: SceneNode, level: Selectable["level"]): Selectable[] =>
    node.cells.length > 0
      ? node.cells.map((cell) => ({ path: cell.cell.path, box: cell, level }))
      : [{ path: node.path, box: node, level }];
  const overview = scene.nodes.flatMap((node) => parts(node, "overview"));
  const open = (scene.card?.nodes ?? []).filter((node) => node.w > 0).flatMap((node) => parts(node, "open"));
  const inOrder = (items: Selectable[]) =>
    items.filter((item) => item.path).sort((a, b) => a.box.x - b.box.x || a.box.y - b.box.y);
  const all = [...inOrder(overview), ...inOrder(open)];
  known.set(scene, all);
  return all;
}

export type Direction = "left" | "right" | "up" | "down";

/** The path that an arrow key leads to: along a level, or between the strip and the opened block. */
export function neighbour(scene: Scene, path: string | undefined, direction: Direction): string | null {
  const items = selectable(scene);
  const here = items.find((item) => item.path === path);
  if (!here) return items[0]?.path ?? null;
  const level = items.filter((item) => item.level === here.level);
  if (direction === "left" || direction === "right") {
    const next = level[level.indexOf(here) + (direction === "right" ? 1 : -1)];
    return next?.path ?? null;
  }
  const sign = direction === "down" ? 1 : -1;
  const inColumn = (item: Selectable) =>
    item.box.x < here.box.x + here.box.w && item.box.x + item.box.w > here.box.x;
  const ahead = (item: Selectable) => sign * (item.box.y - here.box.y) > 1;
  const column = level.filter((item) => ahead(item) && inColumn(item));
  if (column.length > 0) return nearest(column, here, sign)?.path ?? null;
  const other = items.filter((item) => item.level !== here.level && ahead(item));
  if (direction === "up" && here.level === "open") {
    // Up from an opened block leads back to the cell that it belongs to.
    return (
      other.find((item) => item.path === scene.card?.path)?.path ?? nearest(other, here, sign)?.path ?? null
    );
  }
  return direction === "down" ? (other[0]?.path ?? null) : null;
}

function nearest(items: Selectable[], here: Selectable, sign: number): Selectable | undefined {
  const cost = (item: Selectable) =>
    sign * (item.box.y - here.box.y) + 2 * Math.abs(centreX(item.box) - centreX(here.box));
  return [...items].sort((a, b) => cost(a) - cost(b))[0];
}

/** Paths between two, both included, in the order of `selectable`. */
export function between(scene: Scene, from: string, to: string): string[] {
  const paths = selectable(scene).map((item) => item.path);
  const a = paths.indexOf(from);
  const b = paths.indexOf(to);
  if (b < 0) return [];
  return a < 0 ? [to] : [...new Set(paths.slice(Math.min(a, b), Math.max(a, b) + 1))];
}
