// Draws a scene: what is out of view is skipped, what is too small to read is left out.

import { drawCells } from "./draw_cells";
import { drawNode, drawStripTitle } from "./draw_node";
import { drawThreads } from "./draw_threads";
import { type Context, elbow, fitted, readable, roundBox, wire } from "./pen";
import { type Box, FONTS, type Measure, overlaps, type Scene, type SceneCard, type SceneEdge } from "./scene";
import type { Theme } from "./theme";
import type { Thread } from "./threads";

export interface Look {
  theme: Theme;
  measure: Measure;
  selection: ReadonlySet<string>;
  hovered: string | null;
  scores: ReadonlyMap<string, number> | null;
  openPath: string | null;
  alertPath: string | null;
  /** Screen pixels per world pixel. */
  zoom: number;
}

/** Under these zooms there is no room for a text that can be read. */
export const READABLE = { title: 0.42, small: 0.78 };
const GRID = 24;

export function drawScene(context: Context, scene: Scene, threads: Thread[], look: Look, view: Box): void {
  drawGrid(context, look, view);
  for (const edge of scene.edges) drawEdge(context, edge, look, false);
  // One strip is the model's depth and needs no name; the stages of a model are told apart by theirs.
  const several = scene.nodes.filter((node) => node.kind === "strip").length > 1;
  for (const node of scene.nodes) {
    if (!overlaps(node, grown(view, 60))) continue;
    drawNode(context, node, look, "overview");
    if (node.cells.length > 0) drawCells(context, node, look, view);
    if (several && node.kind === "strip") drawStripTitle(context, node, look);
  }
  if (scene.card) drawCard(context, scene.card, look, view);
  drawThreads(context, threads, look);
}

function drawGrid(context: Context, look: Look, view: Box): void {
  if (look.zoom < 0.5) return;
  context.fillStyle = look.theme.line;
  const size = 1.5;
  // Half as dense when small: thousands of dots cost more than the whole model.
  const step = look.zoom < 0.8 ? 2 * GRID : GRID;
  for (let x = Math.ceil(view.x / step) * step; x < view.x + view.w; x += step) {
    for (let y = Math.ceil(view.y / step) * step; y < view.y + view.h; y += step) {
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
  }
}

function drawEdge(context: Context, edge: SceneEdge, look: Look, inCard: boolean): void {
  context.setLineDash([]);
  if (edge.residual) {
    // Quiet, but to be told from the wires: darker, and half let through.
    context.strokeStyle = inCard ? look.theme.faint : look.theme.edge;
    context.globalAlpha = inCard ? 0.65 : 1;
    context.lineWidth = 1.3;
    elbow(context, edge.points, 6);
    context.globalAlpha = 1;
  } else {
    context.strokeStyle = look.theme.edge;
    context.lineWidth = 1.4;
    wire(context, edge.points);
  }
}

function drawCard(context: Context, card: SceneCard, look: Look, view: Box): void {
  const { theme, zoom } = look;
  context.strokeStyle = theme.edge;
  context.lineWidth = 1.2;
  context.setLineDash([2, 3]);
  context.beginPath();
  for (const [from, to] of card.guides) {
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
  }
  context.stroke();
  context.setLineDash([]);
  if (!overlaps(card, view)) return;
  roundBox(context, card, 12);
  context.fillStyle = theme.surface;
  context.fill();
  context.lineWidth = 1.2;
  context.stroke();
  if (zoom >= READABLE.title) drawHeader(context, card, look);
  for (const edge of card.edges) drawEdge(context, edge, look, true);
  for (const node of card.nodes) {
    if (node.w > 0 && overlaps(node, grown(view, 20))) drawNode(context, node, look, "open");
  }
}

function drawHeader(context: Context, card: SceneCard, look: Look): void {
  const { theme, measure, zoom } = look;
  const header = readable(FONTS.header, zoom);
  const small = readable(FONTS.small, zoom);
  const fold = measure("fold", small.font);
  const line = card.y + 28.5;
  context.textAlign = "left";
  context.font = header.font;
  context.fillStyle = theme.ink;
  const title = fitted(card.title, header.font, card.w * 0.55, measure);
  context.fillText(title, card.x + 18, line);
  const after = card.x + 18 + measure(title, header.font) + 12;
  const room = card.x + card.w - 32 - fold - 12 - after;
  context.font = small.font;
  context.fillStyle = theme.faint;
  if (room > 60) context.fillText(fitted(card.subtitle, small.font, room, measure), after, line);
  const hot = look.hovered === "fold";
  context.fillStyle = hot ? theme.accent : theme.soft;
  context.textAlign = "right";
  context.fillText("fold", card.x + card.w - 32, line);
  context.strokeStyle = hot ? theme.accent : theme.soft;
  context.lineWidth = 1.4;
  context.beginPath();
  context.moveTo(card.x + card.w - 26, line - 1.5);
  context.lineTo(card.x + card.w - 22, line - 5.5);
  context.lineTo(card.x + card.w - 18, line - 1.5);
  context.stroke();
}

function grown(box: Box, by: number): Box {
  return { x: box.x - by, y: box.y - by, w: box.w + 2 * by, h: box.h + 2 * by };
}
