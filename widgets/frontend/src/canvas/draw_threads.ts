import { type Look, READABLE } from "./draw";
import { drawRing } from "./draw_node";
import { type Context, centred, readable } from "./pen";
import { FONTS } from "./scene";
import type { Thread } from "./threads";

/** Ties as coloured threads; a pending one is dashed and says so. */
export function drawThreads(context: Context, threads: readonly Thread[], look: Look): void {
  for (const thread of threads) {
    context.strokeStyle = thread.colour;
    context.lineWidth = 2.4;
    context.lineCap = "round";
    context.setLineDash(thread.pending ? [5, 5] : []);
    for (const { from, to, depth } of thread.arcs) {
      const bulge = thread.side * depth;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.bezierCurveTo(from.x, from.y + bulge, to.x, to.y + bulge, to.x, to.y);
      context.stroke();
    }
    context.setLineDash([]);
    context.lineCap = "butt";
    for (const end of thread.ends) {
      context.beginPath();
      context.arc(end.x, end.y, 3.5, 0, 2 * Math.PI);
      context.fillStyle = look.theme.ground;
      context.fill();
      context.lineWidth = 2;
      context.stroke();
    }
  }
  for (const thread of threads) {
    if (!thread.glyph) continue;
    const { x, y } = thread.glyph;
    drawRing(context, x, y, thread.index, look);
    if (thread.pending && look.zoom >= READABLE.title) {
      const { font, growth } = readable(FONTS.smallStrong, look.zoom);
      const below = thread.side > 0 ? 20 * growth : -12 * growth;
      centred(context, "pending tie", x, y + below, font, look.theme.soft);
    }
  }
}
