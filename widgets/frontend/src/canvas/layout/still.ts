// Holds a new layout where the one before was, so that an edit moves only what it has to. Pure.
import { around, type Box, bottom, type Point, type Scene, type SceneCard, type SceneNode } from "../scene";

/** The opened block keeps its place while the overview stays this far above it. */
const LEAST_HANG = 60;

/** The new scene, moved so that as many of the nodes and cells as possible stay where they were. */
export function heldStill(before: Scene, scene: Scene): Scene {
  const { dx, dy } = mostCommonShift(before, scene);
  const nodes = scene.nodes.map((node) => movedWhole(node, dx, dy));
  const edges = scene.edges.map((edge) => ({ ...edge, points: edge.points.map((at) => along(at, dx, dy)) }));
  const overview = around(nodes);
  const card = scene.card && holdCard(scene.card, before.card, overview, dx, dy);
  return { nodes, edges, card, bounds: around([overview, ...(card ? [card] : [])]) };
}

function mostCommonShift(before: Scene, scene: Scene): { dx: number; dy: number } {
  const old = new Map<string, Box>();
  for (const node of before.nodes) {
    old.set(node.id, node);
    for (const item of node.cells) old.set(`cell ${item.cell.path}`, item);
  }
  const counts = new Map<string, { dx: number; dy: number; count: number }>();
  let best = { dx: 0, dy: 0, count: 0 };
  const count = (key: string, box: Box) => {
    const at = old.get(key);
    if (!at) return;
    const [dx, dy] = [at.x - box.x, at.y - box.y];
    const name = `${Math.round(dx)} ${Math.round(dy)}`;
    const found = counts.get(name) ?? { dx, dy, count: 0 };
    found.count++;
    counts.set(name, found);
    if (found.count > best.count) best = found;
  };
  for (const node of scene.nodes) {
    count(node.id, node);
    for (const item of node.cells) count(`cell ${item.cell.path}`, item);
  }
  return best;
}

function holdCard(
  card: SceneCard,
  before: SceneCard | null,
  overview: Box,
  dx: number,
  dy: number,
): SceneCard {
  const stays = before !== null && before.w === card.w;
  const x = stays ? before.x - card.x : dx;
  const y = stays && before.y >= bottom(overview) + LEAST_HANG ? before.y - card.y : dy;
  return {
    ...moved(card, x, y),
    fold: moved(card.fold, x, y),
    guides: card.guides.map(([from, to]) => [along(from, dx, dy), along(to, x, y)]),
    nodes: card.nodes.map((node) => movedWhole(node, x, y)),
    edges: card.edges.map((edge) => ({ ...edge, points: edge.points.map((at) => along(at, x, y)) })),
  };
}

const moved = <T extends Point>(item: T, dx: number, dy: number): T => ({
  ...item,
  x: item.x + dx,
  y: item.y + dy,
});
const movedWhole = (node: SceneNode, dx: number, dy: number): SceneNode => ({
  ...moved(node, dx, dy),
  cells: node.cells.map((cell) => moved(cell, dx, dy)),
});
const along = ({ x, y }: Point, dx: number, dy: number): Point => ({ x: x + dx, y: y + dy });
