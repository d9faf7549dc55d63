// The small map in the corner: everything in outline, the view as a frame; press it to go there.
import { type Context, roundBox } from "./pen";
import type { Box, Scene } from "./scene";
import type { Theme } from "./theme";

export const MAP = { w: 116, h: 44, pad: 5 };

export interface MapScale {
  k: number;
  x: number;
  y: number;
}

export function mapScale(bounds: Box): MapScale {
  const w = MAP.w - 2 * MAP.pad;
  const h = MAP.h - 2 * MAP.pad;
  const k = Math.min(w / Math.max(1, bounds.w), h / Math.max(1, bounds.h));
  return {
    k,
    x: MAP.pad + (w - bounds.w * k) / 2 - bounds.x * k,
    y: MAP.pad + (h - bounds.h * k) / 2 - bounds.y * k,
  };
}

export function drawMap(
  context: Context,
  scene: Scene,
  view: Box,
  theme: Theme,
  selection: ReadonlySet<string>,
): void {
  const scale = mapScale(scene.bounds);
  const at = (box: Box): Box => ({
    x: box.x * scale.k + scale.x,
    y: box.y * scale.k + scale.y,
    w: Math.max(1, box.w * scale.k),
    h: Math.max(1.5, box.h * scale.k),
  });
  context.clearRect(0, 0, MAP.w, MAP.h);
  const block = (box: Box, colour: string) => {
    roundBox(context, at(box), 1.5);
    context.fillStyle = colour;
    context.fill();
  };
  for (const node of scene.nodes) block(node, selection.has(node.path) ? theme.accent : theme.edge);
  for (const cell of scene.nodes.flatMap((node) => node.cells)) {
    if (selection.has(cell.cell.path)) block(cell, theme.accent);
  }
  if (scene.card) block(scene.card, theme.line);
  for (const node of scene.card?.nodes ?? []) {
    if (node.w > 0) block(node, selection.has(node.path) ? theme.accent : theme.edge);
  }
  const frame = at(view);
  const left = Math.max(1, frame.x);
  const top = Math.max(1, frame.y);
  const right = Math.min(MAP.w - 1, frame.x + frame.w);
  const foot = Math.min(MAP.h - 1, frame.y + frame.h);
  if (right <= left || foot <= top) return;
  roundBox(context, { x: left, y: top, w: right - left, h: foot - top }, 3);
  context.strokeStyle = theme.accent;
  context.lineWidth = 1.2;
  context.stroke();
}
