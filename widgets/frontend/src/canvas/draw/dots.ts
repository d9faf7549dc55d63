// The ground's dots, never more than a frame bears beside the model.
import type { Box } from "../scene";
import type { Look } from "./look";
import type { Context } from "./pen";

const GRID = 24;
const DOT = 1.5;
const MOST = 1100;

/** Plain boxes: a pattern over the whole ground would have each of its pixels sampled. */
export function drawDots(context: Context, look: Look, view: Box): void {
  if (look.zoom < 0.5) return;
  let step = look.zoom < 0.8 ? 2 * GRID : GRID;
  while ((view.w / step) * (view.h / step) > MOST) step *= 2;
  context.fillStyle = look.theme.line;
  for (let x = Math.ceil(view.x / step) * step; x < view.x + view.w; x += step) {
    for (let y = Math.ceil(view.y / step) * step; y < view.y + view.h; y += step) {
      context.fillRect(x - DOT / 2, y - DOT / 2, DOT, DOT);
    }
  }
}
