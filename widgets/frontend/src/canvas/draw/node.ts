// Cards of the overview, modules, functions and joins of an opened block.
import { tieColour } from "../../shared/palette";
import { centreX, centreY, FONTS, type SceneNode } from "../scene";
import { colourOf, type Look, READABLE } from "./look";
import { halo, plus } from "./marks";
import {
  type Context,
  centred,
  fitted,
  fittedHead,
  hatch,
  nearlyReadable,
  readable,
  readableIn,
  roundBox,
} from "./pen";

export type Level = "overview" | "open";

export function drawNode(context: Context, node: SceneNode, look: Look, level: Level): void {
  context.setLineDash([]);
  if (node.kind === "join") drawJoin(context, node, look);
  else if (node.kind === "input" || node.kind === "output") drawEnd(context, node, look);
  else drawBox(context, node, look, level);
}

function drawBox(context: Context, node: SceneNode, look: Look, level: Level): void {
  const { theme } = look;
  const strip = node.kind === "strip";
  const selected = look.selection.has(node.path);
  const hovered = !strip && node.path !== "" && look.hovered === node.path;
  const wrong = node.error !== null || (node.path !== "" && look.alertPath === node.path);
  const radius = strip ? 9 : node.kind === "function" ? Math.min(14, node.h / 2) : 7;

  roundBox(context, node, radius);
  context.fillStyle = node.kind === "function" && level === "open" ? theme.calm : theme.raised;
  context.fill();
  if (selected) {
    context.fillStyle = theme.accentSoft;
    context.fill();
  }
  if (node.opaque !== null) hatch(context, node, radius, theme.edge);
  roundBox(context, node, radius);
  context.strokeStyle = wrong ? theme.worse : hovered ? theme.soft : theme.edge;
  context.lineWidth = wrong ? 1.8 : 1.3;
  if (node.mark === "remove" || node.mark === "changed") {
    // Dashes are for what is pending: going in one colour, changing in the other.
    if (!wrong) context.strokeStyle = node.mark === "remove" ? theme.worse : theme.accent;
    context.lineWidth = 1.7;
    context.setLineDash([4, 3]);
    context.stroke();
    context.setLineDash([]);
  } else if (!(node.kind === "function" && level === "open") || hovered || wrong) context.stroke();
  if (selected) {
    roundBox(context, node, radius + 1.5, 1.5);
    context.strokeStyle = theme.accent;
    context.lineWidth = 2.4;
    context.stroke();
  }
  if (look.targetPath === node.path && node.path !== "") halo(context, node, radius, theme.accent);
  if (strip) return;
  drawScore(context, node, look);
  drawText(context, node, look, level);
  if (node.mark === "remove") drawGoing(context, node, look);
  if (node.mark === "new") drawNew(context, node, look);
  if (node.adapted) drawAdapted(context, node, look);
  if (level === "open") drawRings(context, node, look);
  if (wrong) drawWrong(context, node, look);
}

function drawText(context: Context, node: SceneNode, look: Look, level: Level): void {
  const { theme, measure, zoom } = look;
  if (zoom < READABLE.title) return;
  const both = node.subtitle !== "" && zoom >= READABLE.small;
  const plain =
    node.kind === "function" ? FONTS.function : level === "overview" ? FONTS.cardTitle : FONTS.title;
  const { font, growth } = readableIn(node.title, plain, zoom, node.w - 8, measure);
  const small = readableIn(node.subtitle, FONTS.small, zoom, node.w - 8, measure);
  const x = centreX(node);
  const y = centreY(node);
  const colour = node.kind === "function" ? theme.soft : theme.ink;
  const title = fitted(node.title, font, node.w - 8, measure);
  // Hatching under a text would make it hard to read.
  const back = (text: string, under: string, top: number, height: number) => {
    if (node.opaque === null) return;
    const width = measure(text, under) + 6;
    context.fillStyle = theme.raised;
    context.fillRect(x - width / 2, top, width, height);
  };
  const line = both ? y - 2.5 - 4 * (small.growth - 1) : y + 4 * growth;
  back(title, font, line - 10 * growth, 13 * growth);
  centred(context, title, x, line, font, colour);
  if (!both) return;
  const subtitle = fitted(node.subtitle, small.font, node.w - 6, measure);
  back(subtitle, small.font, y + 3.5, 13);
  centred(context, subtitle, x, y + 9 + 3.5 * small.growth, small.font, theme.faint);
}

/** Over its left end: what is in the strip. */
export function drawStripTitle(context: Context, node: SceneNode, look: Look): void {
  const { measure, theme, zoom } = look;
  if (zoom < READABLE.title) return;
  const room = node.w + 8;
  const { font } = nearlyReadable(node.title, FONTS.small, zoom, room, measure);
  const both = `${node.title} · ${node.subtitle}`;
  context.textAlign = "left";
  context.font = font;
  context.fillStyle = theme.faint;
  const text = measure(both, font) <= room ? both : fittedHead(node.title, font, room, measure);
  context.fillText(text, node.x + 4, node.y - 6);
}

/** The adviser's score as a bar at the left edge. */
function drawScore(context: Context, node: SceneNode, look: Look): void {
  const score = look.scores?.get(node.path);
  if (score === undefined) return;
  roundBox(context, { x: node.x + 0.6, y: node.y + 6, w: 4, h: node.h - 12 }, 2);
  context.fillStyle = colourOf(score);
  context.fill();
}

/** An adapter: the lower corner is notched, since the upper one carries rings. */
function drawAdapted(context: Context, node: SceneNode, look: Look): void {
  const size = 9;
  context.beginPath();
  context.moveTo(node.x + node.w - size, node.y + node.h);
  context.lineTo(node.x + node.w, node.y + node.h);
  context.lineTo(node.x + node.w, node.y + node.h - size);
  context.closePath();
  context.fillStyle = look.theme.soft;
  context.fill();
}

/** A line across, as over a cell that goes. */
function drawGoing(context: Context, node: SceneNode, look: Look): void {
  context.strokeStyle = look.theme.worse;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(node.x + 8, node.y + node.h - 5);
  context.lineTo(node.x + node.w - 8, node.y + 5);
  context.stroke();
}

/** A small plus at the upper left corner. */
function drawNew(context: Context, node: SceneNode, look: Look): void {
  const x = node.x + 3;
  context.beginPath();
  context.arc(x, node.y, 6.6, 0, 2 * Math.PI);
  context.fillStyle = look.theme.raised;
  context.fill();
  context.strokeStyle = look.theme.accent;
  context.lineWidth = 1.4;
  context.stroke();
  plus(context, x, node.y, 7, look.theme.accent);
}

function drawRings(context: Context, node: SceneNode, look: Look): void {
  node.ties.slice(0, 3).forEach((index, i) => {
    const x = node.x + node.w - 4 - i * 13;
    drawRing(context, x, node.y, index, look);
  });
}

/** A tie's number in its ring. */
export function drawRing(context: Context, x: number, y: number, index: number, look: Look): void {
  const { font, growth } = readable(FONTS.glyph, look.zoom);
  const r = 6.6 * growth;
  // Numbers of three digits need more room than a ring has.
  const more = index > 99 ? 3.2 * growth : 0;
  roundBox(context, { x: x - r - more, y: y - r, w: 2 * (r + more), h: 2 * r }, r);
  context.fillStyle = look.theme.raised;
  context.fill();
  context.strokeStyle = tieColour(index);
  context.lineWidth = 1.8;
  context.stroke();
  if (look.zoom >= READABLE.title) {
    centred(context, String(index), x, y + 3.5 * growth, font, look.theme.ink);
  }
}

function drawWrong(context: Context, node: SceneNode, look: Look): void {
  context.beginPath();
  context.arc(node.x, node.y, 7.5, 0, 2 * Math.PI);
  context.fillStyle = look.theme.worse;
  context.fill();
  centred(context, "!", node.x, node.y + 4, FONTS.smallStrong, look.theme.raised);
}

function drawJoin(context: Context, node: SceneNode, look: Look): void {
  const { theme } = look;
  context.beginPath();
  context.arc(centreX(node), centreY(node), node.w / 2, 0, 2 * Math.PI);
  context.fillStyle = theme.raised;
  context.fill();
  context.strokeStyle = theme.edge;
  context.lineWidth = 1.4;
  context.stroke();
  if (look.zoom < READABLE.title) return;
  const glyph = node.title.length <= 2 ? node.title : "+";
  centred(context, glyph, centreX(node), centreY(node) + 4.5, FONTS.join, theme.soft);
}

function drawEnd(context: Context, node: SceneNode, look: Look): void {
  if (look.zoom < READABLE.title) return;
  const { font } = readable(FONTS.small, look.zoom);
  const text = fitted(node.title, font, node.w + 16, look.measure); // beside it there is only a wire
  centred(context, text, centreX(node), centreY(node) + 3.5, font, look.theme.faint);
}
