// What lies over the scene while a gesture lasts: the selection box, what is carried, a thread pulled off.
import type { Carried, CarriedEnd, CarriedNodes } from "../gestures/carry";
import { type Box, FONTS, type Measure, type Point } from "../scene";
import { type Context, fitted, roundBox } from "./pen";
import type { Theme } from "./theme";

export function drawRubber(context: Context, box: Box, theme: Theme, zoom: number): void {
  context.fillStyle = theme.accent;
  context.globalAlpha = 0.1;
  context.fillRect(box.x, box.y, box.w, box.h);
  context.globalAlpha = 1;
  context.strokeStyle = theme.accent;
  context.lineWidth = 1.2 / zoom;
  context.strokeRect(box.x, box.y, box.w, box.h);
}

/** A ring around an end that one can pull. */
export function drawHotEnd(context: Context, end: Point, theme: Theme, zoom: number): void {
  context.beginPath();
  context.arc(end.x, end.y, 7 / zoom, 0, 2 * Math.PI);
  context.strokeStyle = theme.accent;
  context.lineWidth = 2 / zoom;
  context.stroke();
}

export function drawCarried(
  context: Context,
  carried: Carried,
  theme: Theme,
  zoom: number,
  measure: Measure,
): void {
  if (carried.kind === "end") drawPulled(context, carried, theme, zoom);
  const lines = carried.kind === "end" ? endWords(carried) : nodeWords(carried);
  // The tag has one size on the screen, whatever the zoom.
  context.save();
  context.translate(carried.at.x, carried.at.y);
  context.scale(1 / zoom, 1 / zoom);
  drawTag(context, lines, theme, measure, carried.kind === "nodes" && carried.target === null ? 0.78 : 0.96);
  context.restore();
}

const short = (path: string): string => path.split(".").slice(-2).join(".");

function nodeWords({ sources, target }: CarriedNodes): string[] {
  const what = sources.length > 1 ? `${sources.length} selected` : short(sources[0] ?? "");
  return target === null ? [what] : [what, `onto ${short(target)}`];
}

const endWords = ({ off, thread }: CarriedEnd): string[] => (off ? [`untie ${thread.index}`] : []);

function drawTag(
  context: Context,
  lines: readonly string[],
  theme: Theme,
  measure: Measure,
  alpha: number,
): void {
  if (lines.length === 0) return;
  const fonts = [FONTS.title, FONTS.small];
  const texts = lines.map((line, i) => fitted(line, fonts[i] ?? FONTS.small, 240, measure));
  const w = 22 + Math.max(...texts.map((text, i) => measure(text, fonts[i] ?? FONTS.small)));
  const box = { x: 16, y: 22, w, h: lines.length > 1 ? 40 : 26 };
  context.globalAlpha = alpha;
  roundBox(context, box, 7);
  context.fillStyle = theme.raised;
  context.fill();
  context.strokeStyle = theme.accent;
  context.lineWidth = 1.6;
  context.setLineDash([4, 3]);
  context.stroke();
  context.setLineDash([]);
  context.textAlign = "left";
  texts.forEach((text, i) => {
    context.font = fonts[i] ?? FONTS.small;
    context.fillStyle = i === 0 ? theme.ink : theme.accent;
    context.fillText(text, box.x + 11, box.y + 17 + 15 * i);
  });
  context.globalAlpha = 1;
}

/** The thread hangs from its nearest other end to the pointer. */
function drawPulled(
  context: Context,
  { thread, end, at, off }: CarriedEnd,
  theme: Theme,
  zoom: number,
): void {
  const other = thread.ends[end - 1] ?? thread.ends[end + 1];
  context.strokeStyle = thread.colour ?? theme.soft;
  context.lineWidth = 2.4 / zoom;
  context.setLineDash(off ? [4 / zoom, 4 / zoom] : []);
  if (other) {
    const sag = other.y + thread.side * 30;
    context.beginPath();
    context.moveTo(other.x, other.y);
    context.bezierCurveTo(other.x, sag, at.x, (at.y + sag) / 2, at.x, at.y);
    context.stroke();
  }
  context.setLineDash([]);
  context.beginPath();
  context.arc(at.x, at.y, 4.5 / zoom, 0, 2 * Math.PI);
  context.fillStyle = theme.ground;
  context.fill();
  context.stroke();
}
