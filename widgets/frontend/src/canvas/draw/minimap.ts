// The small map in the corner: everything in outline, the view as a frame; press it to go there.
import type { Box, Scene } from "../scene";
import { type Context, roundBox } from "./pen";
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

/** What the map shows does not change while one pans: it is drawn once, and each frame is a copy. */
export class MiniMap {
  private readonly still = document.createElement("canvas");
  private drawn: unknown[] = [];

  constructor(private readonly canvas: HTMLCanvasElement) {}

  paint(scene: Scene, view: Box, theme: Theme, selection: ReadonlySet<string>): void {
    const context = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    if (!context || width === 0) return;
    const now = [scene, theme, selection, width];
    if (now.some((value, i) => value !== this.drawn[i])) {
      this.drawn = now;
      this.still.width = width;
      this.still.height = height;
      const still = this.still.getContext("2d");
      still?.scale(width / MAP.w, height / MAP.h);
      if (still) drawStill(still, scene, theme, selection);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.drawImage(this.still, 0, 0);
    context.setTransform(width / MAP.w, 0, 0, height / MAP.h, 0, 0);
    drawFrame(context, mapped(view, mapScale(scene.bounds)), theme);
  }
}

function mapped(box: Box, scale: MapScale): Box {
  return {
    x: box.x * scale.k + scale.x,
    y: box.y * scale.k + scale.y,
    w: box.w * scale.k,
    h: box.h * scale.k,
  };
}

function drawStill(context: Context, scene: Scene, theme: Theme, selection: ReadonlySet<string>): void {
  const scale = mapScale(scene.bounds);
  const block = (box: Box, colour: string) => {
    const { x, y, w, h } = mapped(box, scale);
    roundBox(context, { x, y, w: Math.max(1, w), h: Math.max(1.5, h) }, 1.5);
    context.fillStyle = colour;
    context.fill();
  };
  for (const node of scene.nodes) block(node, selection.has(node.path) ? theme.accent : theme.edge);
  for (const node of scene.nodes) {
    for (const item of node.cells) if (selection.has(item.cell.path)) block(item, theme.accent);
  }
  if (scene.card) block(scene.card, theme.line);
  for (const node of scene.card?.nodes ?? []) {
    if (node.w > 0) block(node, selection.has(node.path) ? theme.accent : theme.edge);
  }
}

function drawFrame(context: Context, frame: Box, theme: Theme): void {
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
