// Marks that nodes and cells have in common: what is new, what is changed, where something would land.
import type { Box } from "../scene";
import { type Context, roundBox } from "./pen";

/** Two strokes, so that it is as small as it has to be. */
export function plus(context: Context, x: number, y: number, size: number, colour: string): void {
  context.strokeStyle = colour;
  context.lineWidth = Math.max(1, size / 5);
  context.beginPath();
  context.moveTo(x - size / 2, y);
  context.lineTo(x + size / 2, y);
  context.moveTo(x, y - size / 2);
  context.lineTo(x, y + size / 2);
  context.stroke();
}

/** The glow of a place where what is carried would land. */
export function halo(context: Context, box: Box, radius: number, colour: string): void {
  const alpha = context.globalAlpha;
  context.strokeStyle = colour;
  context.setLineDash([]);
  for (const [grow, width, part] of [
    [6, 6, 0.18],
    [3.5, 4, 0.32],
    [1.5, 2.4, 1],
  ] as const) {
    context.globalAlpha = alpha * part;
    context.lineWidth = width;
    roundBox(context, box, radius + grow, grow);
    context.stroke();
  }
  context.globalAlpha = alpha;
}
