// Wires between nodes: curves near by, straight hairlines far off, and never more than a frame can bear.
import type { SceneEdge } from "../scene";
import type { Look } from "./look";
import { type Context, elbow, wirePath } from "./pen";

/** Far off wires lie on each other: a part of them shows as much. */
const MOST_FAR = 700;
const MOST_NEAR = 1500;
/** Pieces in one path; larger ones are slower to fill than several small ones. */
const BATCH = 128;

export function drawWires(context: Context, edges: readonly SceneEdge[], look: Look, inCard: boolean): void {
  context.setLineDash([]);
  if (look.detail === "near" && edges.length <= MOST_NEAR) {
    nearPlain(context, edges, look);
    for (const edge of edges) if (edge.residual) residual(context, edge, look, inCard);
  } else hairlines(context, edges, look);
  context.globalAlpha = 1;
}

function nearPlain(context: Context, edges: readonly SceneEdge[], look: Look): void {
  context.strokeStyle = look.theme.edge;
  context.lineWidth = 1.4;
  let pieces = 0;
  context.globalAlpha = 1;
  context.beginPath();
  for (const edge of edges) {
    if (edge.residual || edge.alpha !== undefined) continue;
    wirePath(context, edge.points);
    if (++pieces % BATCH === 0) {
      context.stroke();
      context.beginPath();
    }
  }
  context.stroke();
  for (const edge of edges) {
    if (edge.residual || edge.alpha === undefined) continue;
    context.globalAlpha = edge.alpha;
    context.beginPath();
    wirePath(context, edge.points);
    context.stroke();
  }
}

function residual(context: Context, edge: SceneEdge, look: Look, inCard: boolean): void {
  // Quiet, but to be told from the wires: darker, and half let through.
  context.strokeStyle = inCard ? look.theme.faint : look.theme.edge;
  context.globalAlpha = (inCard ? 0.65 : 1) * (edge.alpha ?? 1);
  context.lineWidth = 1.3;
  elbow(context, edge.points, 6);
}

function hairlines(context: Context, edges: readonly SceneEdge[], look: Look): void {
  context.strokeStyle = look.theme.edge;
  context.globalAlpha = 1;
  context.lineWidth = 1 / look.zoom;
  // A power of two, so that panning does not change which ones are drawn.
  const every = edges.length <= MOST_FAR ? 1 : 2 ** Math.ceil(Math.log2(edges.length / MOST_FAR));
  let pieces = 0;
  context.beginPath();
  for (const { points } of edges) {
    const first = points[0];
    const last = points[points.length - 1];
    if (!first || !last) continue;
    if (every > 1 && Math.abs(Math.floor(first.x * 7 + last.y * 13)) % every !== 0) continue;
    if (Math.max(Math.abs(last.x - first.x), Math.abs(last.y - first.y)) * look.zoom < 1.5) continue;
    context.moveTo(first.x, first.y);
    for (let i = 1; i < points.length; i++) {
      const point = points[i];
      if (point) context.lineTo(point.x, point.y);
    }
    if (++pieces % BATCH === 0) {
      context.stroke();
      context.beginPath();
    }
  }
  context.stroke();
}
