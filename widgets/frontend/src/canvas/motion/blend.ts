// Between two scenes: what is in both slides, what is new fades in, what is gone fades out. Pure.
import type { Box, Fading, Point, Scene, SceneCard, SceneCell, SceneEdge, SceneNode } from "../scene";

/** Of each scene: a list of this length costs a frame more than it tells. */
const MOST_ITEMS = 3000;
const MOST_CHANGES = 800;

/** Whether it is worth showing how one scene turns into the other. */
export function worthMoving(from: Scene, to: Scene): boolean {
  if (Math.max(sizeOf(from), sizeOf(to)) > MOST_ITEMS) return false;
  const changes = countChanges(boxesOf(from), boxesOf(to));
  return changes > 0 && changes <= MOST_CHANGES;
}

/** The same block in both scenes, whatever it is called there. */
const cellKey = ({ cell }: SceneCell): string => `cell ${cell.origin || cell.path}`;

function sizeOf({ nodes, card }: Scene): number {
  return nodes.reduce((sum, node) => sum + 1 + node.cells.length, card?.nodes.length ?? 0);
}

function boxesOf({ nodes, card }: Scene): Map<string, Box> {
  const boxes = new Map<string, Box>();
  for (const node of nodes) {
    boxes.set(`node ${node.id}`, node);
    for (const item of node.cells) boxes.set(cellKey(item), item);
  }
  if (card) {
    boxes.set("card", card);
    const keys = keysIn(card);
    for (const node of card.nodes) boxes.set(`open ${keys.get(node.id)}`, node);
  }
  return boxes;
}

function countChanges(from: Map<string, Box>, to: Map<string, Box>): number {
  let changes = 0;
  for (const key of from.keys()) if (!to.has(key)) changes++;
  for (const [key, box] of to) {
    const old = from.get(key);
    if (!old || differs(old, box)) changes++;
  }
  return changes;
}

const differs = (a: Box, b: Box): boolean =>
  Math.abs(a.x - b.x) > 0.5 ||
  Math.abs(a.y - b.y) > 0.5 ||
  Math.abs(a.w - b.w) > 0.5 ||
  Math.abs(a.h - b.h) > 0.5;

/** The scene `t` of the way, 0 to 1. It is the state's, so what it says is new at once. */
export function blend(from: Scene, to: Scene, t: number): Scene {
  const own = (node: { id: string }) => node.id;
  const cells = new Map(from.nodes.flatMap((node) => node.cells.map((item) => [cellKey(item), item])));
  const nodes = between(from.nodes, to.nodes, own, own, t).map((node) => {
    const old = from.nodes.find((item) => item.id === node.id);
    if (!old || node.cells.length === 0) return node;
    const goal = to.nodes.find((item) => item.id === node.id);
    const kept = new Set(goal?.cells.map(cellKey));
    const present = node.cells.map((item) => {
      const was = cells.get(cellKey(item));
      return was ? { ...item, ...slid(was, item, t), ...rising(was, t) } : { ...item, alpha: t };
    });
    const gone = goal ? old.cells.filter((item) => !kept.has(cellKey(item))) : [];
    return { ...node, cells: [...present, ...gone.map((item) => faded(item, t))] };
  });
  return {
    nodes,
    edges: edgesBetween(
      from.edges,
      to.edges,
      (id) => id,
      (id) => id,
      t,
    ),
    card: cardBetween(from.card, to.card, t),
    bounds: to.bounds,
  };
}

function cardBetween(from: SceneCard | null, to: SceneCard | null, t: number): SceneCard | null {
  if (!from && !to) return null;
  if (!from || !to) {
    const card = (to ?? from) as SceneCard;
    const alpha = to ? t : (card.alpha ?? 1) * (1 - t);
    const nodes = card.nodes.map((node) => ({ ...node, alpha }));
    return { ...card, alpha, nodes, edges: card.edges.map((edge) => ({ ...edge, alpha })) };
  }
  const [before, after] = [keysIn(from), keysIn(to)];
  const [keyBefore, keyAfter] = [(id: string) => before.get(id) ?? id, (id: string) => after.get(id) ?? id];
  return {
    ...to,
    ...slid(from, to, t),
    ...rising(from, t),
    fold: { ...to.fold, ...slid(from.fold, to.fold, t) },
    guides: to.guides.map(([a, b], i) => {
      const old = from.guides[i];
      return old ? [middle(old[0], a, t), middle(old[1], b, t)] : [a, b];
    }),
    nodes: between(
      from.nodes,
      to.nodes,
      (node) => keyBefore(node.id),
      (node) => keyAfter(node.id),
      t,
    ),
    edges: edgesBetween(from.edges, to.edges, keyBefore, keyAfter, t),
  };
}

/** What a node is in its block, whichever block that is: alike blocks have the same keys. */
function keysIn(card: SceneCard): Map<string, string> {
  const seen = new Map<string, number>();
  return new Map(
    card.nodes.map((node) => {
      const inside = node.path.startsWith(`${card.path}.`) ? node.path.slice(card.path.length) : "";
      const role = inside || `${node.kind} ${node.title}`;
      const count = (seen.get(role) ?? 0) + 1;
      seen.set(role, count);
      return [node.id, `${role} ${count}`];
    }),
  );
}

type Key<T> = (item: T) => string;

function between(
  from: readonly SceneNode[],
  to: readonly SceneNode[],
  keyBefore: Key<SceneNode>,
  keyAfter: Key<SceneNode>,
  t: number,
): SceneNode[] {
  const old = new Map(from.map((node) => [keyBefore(node), node]));
  const result = to.map((node) => {
    const was = old.get(keyAfter(node));
    old.delete(keyAfter(node));
    return was ? { ...node, ...slid(was, node, t), ...rising(was, t) } : { ...node, alpha: t };
  });
  return [...result, ...[...old.values()].map((node) => faded(node, t))];
}

function edgesBetween(
  from: readonly SceneEdge[],
  to: readonly SceneEdge[],
  keyBefore: (id: string) => string,
  keyAfter: (id: string) => string,
  t: number,
): SceneEdge[] {
  const name = ({ source, target, residual }: SceneEdge, key: (id: string) => string) =>
    `${key(source)} → ${key(target)} ${residual}`;
  const old = new Map(from.map((edge) => [name(edge, keyBefore), edge]));
  const result = to.map((edge) => {
    const key = name(edge, keyAfter);
    const was = old.get(key);
    if (was?.points.length !== edge.points.length) return { ...edge, alpha: t };
    old.delete(key);
    const points = edge.points.map((point, i) => middle(was.points[i] ?? point, point, t));
    return { ...edge, points, ...rising(was, t) };
  });
  return [...result, ...[...old.values()].map((edge) => faded(edge, t))];
}

const mix = (a: number, b: number, t: number): number => a + (b - a) * t;
const middle = (a: Point, b: Point, t: number): Point => ({ x: mix(a.x, b.x, t), y: mix(a.y, b.y, t) });
const slid = (a: Box, b: Box, t: number): Box => ({
  x: mix(a.x, b.x, t),
  y: mix(a.y, b.y, t),
  w: mix(a.w, b.w, t),
  h: mix(a.h, b.h, t),
});
/** What was still coming when the next state arrived goes on from there. */
const rising = ({ alpha }: Fading, t: number): Fading =>
  alpha === undefined ? {} : { alpha: mix(alpha, 1, t) };
const faded = <T extends Fading>(item: T, t: number): T => ({ ...item, alpha: (item.alpha ?? 1) * (1 - t) });
