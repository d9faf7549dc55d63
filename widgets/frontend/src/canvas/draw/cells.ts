// The cells of a strip: one per block, coloured by score, marked by what is to happen to them.
import { luminance } from "../../shared/palette";
import { type Box, bottom, centreX, FONTS, overlaps, type SceneCell, type SceneNode } from "../scene";
import { alphaOf, colourOf, type Look, READABLE } from "./look";
import { halo, plus } from "./marks";
import { type Context, centred, readable, roundBox } from "./pen";

/** Cells narrower than this on the screen are drawn with square corners. */
const ROUNDED = 16;
/** Room that a label needs, in screen pixels. */
const LABEL_ROOM = 26;

export function drawCells(context: Context, strip: SceneNode, look: Look, view: Box): void {
  const alpha = strip.alpha ?? 1;
  for (const item of strip.cells) {
    if (!overlaps(item, view)) continue;
    context.globalAlpha = alphaOf(look, item.cell.path, alpha * (item.alpha ?? 1));
    drawCell(context, item, look);
  }
  context.globalAlpha = alpha;
  if (look.zoom >= READABLE.title) drawLabels(context, strip.cells, look);
  for (const item of strip.cells) {
    if (!overlaps(item, view)) continue;
    if (look.selection.has(item.cell.path)) ring(context, item, look.theme.accent, 2.4);
    else if (look.hovered === item.cell.path) ring(context, item, look.theme.soft, 1.4);
  }
}

/** Blocks of colour, with no more than their marks. */
export function drawFarCells(context: Context, strip: SceneNode, look: Look, view: Box): void {
  const { theme, scores, selection } = look;
  const least = 1 / look.zoom;
  for (const item of strip.cells) {
    if (!overlaps(item, view)) continue;
    const { path, mark } = item.cell;
    const score = scores?.get(path);
    context.globalAlpha = alphaOf(look, path, strip.alpha ?? 1);
    context.fillStyle = mark === "remove" ? theme.worse : score === undefined ? theme.calm : colourOf(score);
    // One to be removed is half a block, so that it is told by more than its colour.
    const h = mark === "remove" ? item.h / 3 : item.h;
    context.fillRect(item.x, item.y + (item.h - h) / 2, Math.max(item.w, least), h);
    if (!selection.has(path) && look.targetPath !== path && look.hovered !== path) continue;
    context.strokeStyle = look.hovered === path && !selection.has(path) ? theme.soft : theme.accent;
    context.lineWidth = 2 * least;
    context.strokeRect(item.x - least, item.y - least, item.w + 2 * least, item.h + 2 * least);
  }
  context.globalAlpha = strip.alpha ?? 1;
}

function drawCell(context: Context, item: SceneCell, look: Look): void {
  const { theme } = look;
  const { mark, path, adapted } = item.cell;
  const radius = Math.min(3.5, item.w / 4);
  if (mark === "remove") {
    context.strokeStyle = theme.worse;
    context.lineWidth = 1.3;
    context.setLineDash([3, 2.4]);
    roundBox(context, item, radius);
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(item.x + item.w * 0.16, item.y + item.h - 5);
    context.lineTo(item.x + item.w * 0.84, item.y + 5);
    context.stroke();
    if (look.targetPath === path) halo(context, item, radius, theme.accent);
    return;
  }
  const score = look.scores?.get(path);
  const fill = score === undefined ? theme.calm : colourOf(score);
  // The darkest colours would melt into a dark surface without an outline.
  const line = score === undefined ? 1 : 0.7;
  if (item.w * look.zoom < ROUNDED) {
    // Corners of a thin cell cannot be seen, and paths cost several times what boxes do.
    context.fillStyle = theme.edge;
    context.fillRect(item.x, item.y, item.w, item.h);
    context.fillStyle = fill;
    context.fillRect(item.x + line / 2, item.y + line / 2, item.w - line, item.h - line);
  } else {
    roundBox(context, item, radius);
    context.fillStyle = fill;
    context.fill();
    context.strokeStyle = theme.edge;
    context.lineWidth = line;
    context.stroke();
  }
  if (adapted) notch(context, item, theme.raised);
  if (look.alertPath === path) ring(context, item, theme.worse, 2);
  if (mark === "changed") ring(context, item, theme.accent, 1.7, [3.2, 2.4]);
  if (mark === "new") {
    const dark = score !== undefined && luminance(fill) < 0.3;
    const colour = score === undefined ? theme.ink : dark ? "#ffffff" : "#1c2430";
    plus(context, centreX(item), item.y + item.h / 2, Math.min(8, item.w * 0.6), colour);
  }
  if (look.targetPath === path) halo(context, item, Math.min(4.5, item.w / 3), theme.accent);
}

/** The upper right corner is cut out. */
function notch(context: Context, box: Box, colour: string): void {
  const size = Math.min(9, box.w * 0.5);
  const x = box.x + box.w + 0.6;
  const y = box.y - 0.6;
  context.beginPath();
  context.moveTo(x - size, y);
  context.lineTo(x, y);
  context.lineTo(x, y + size);
  context.closePath();
  context.fillStyle = colour;
  context.fill();
}

function ring(context: Context, box: Box, colour: string, width: number, dash: number[] = []): void {
  const grow = Math.min(2, box.w * 0.12);
  roundBox(context, box, Math.min(4.5, box.w / 3), grow);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

/** Which labels to write: the selected, the ends, then every second, fourth, fifth … where there is room. */
export function labelled(count: number, pitch_px: number, selected: readonly number[]): number[] {
  if (count === 0) return [];
  const step = [1, 2, 4, 5, 10, 20, 50, 100].find((size) => size * pitch_px >= LABEL_ROOM) ?? count;
  const room = Math.max(1, Math.ceil((LABEL_ROOM * 0.7) / pitch_px));
  const kept: number[] = [];
  const offer = (index: number, distance: number) => {
    if (kept.every((other) => Math.abs(other - index) >= distance)) kept.push(index);
  };
  for (const index of selected) offer(index, Math.max(1, Math.ceil(15 / pitch_px)));
  offer(count - 1, room);
  for (let index = 0; index < count; index += step) offer(index, Math.max(room, step));
  return kept.sort((a, b) => a - b);
}

function drawLabels(context: Context, cells: SceneCell[], look: Look): void {
  const first = cells[0];
  if (!first) return;
  const second = cells[1];
  const pitch = (second ? second.x - first.x : first.w) * look.zoom;
  const chosen = cells.flatMap((item, i) => (look.selection.has(item.cell.path) ? [i] : []));
  for (const index of labelled(cells.length, pitch, chosen)) {
    const item = cells[index] as SceneCell;
    if ((item.alpha ?? 1) < 0.6) continue; // it comes or goes over another
    const strong = look.selection.has(item.cell.path) || look.openPath === item.cell.path;
    const { font, growth } = readable(strong ? FONTS.smallStrong : FONTS.small, look.zoom);
    const colour = strong ? look.theme.ink : look.theme.faint;
    centred(context, item.cell.label, centreX(item), bottom(item) + 10.5 + 3.5 * growth, font, colour);
  }
}
