// The ground's dots: one fill with a pattern, however many there are.
import type { Box } from "../scene";
import type { Look } from "./look";
import type { Context } from "./pen";

const GRID = 24;
const DOT = 1.5;

interface Tile {
  pattern: CanvasPattern;
  side: number;
}
const tiles = new Map<string, Tile>();

export function drawDots(context: Context, look: Look, view: Box, ratio: number): void {
  if (look.zoom < 0.5) return;
  // Half as dense when small: dots that touch are a grey ground.
  const step = look.zoom < 0.8 ? 2 * GRID : GRID;
  const scale = look.zoom * ratio;
  const tile = tileFor(context, step, scale, look.theme.line);
  if (!tile) return;
  context.save();
  const grow = step / tile.side;
  tile.pattern.setTransform(new DOMMatrix([grow, 0, 0, grow, -step / 2, -step / 2]));
  context.fillStyle = tile.pattern;
  context.fillRect(view.x, view.y, view.w, view.h);
  context.restore();
}

/** A tile with one dot in its middle, as large as it will be on the screen. */
function tileFor(context: Context, step: number, scale: number, colour: string): Tile | null {
  const side = Math.max(4, Math.round(step * scale));
  const name = `${side} ${step} ${colour}`;
  const known = tiles.get(name);
  if (known) return known;
  const canvas = document.createElement("canvas");
  canvas.width = side;
  canvas.height = side;
  const pen = canvas.getContext("2d");
  if (!pen) return null;
  const dot = Math.max(1, DOT * scale);
  pen.fillStyle = colour;
  pen.fillRect((side - dot) / 2, (side - dot) / 2, dot, dot);
  const pattern = context.createPattern(canvas, "repeat");
  if (!pattern) return null;
  if (tiles.size > 64) tiles.clear();
  const made = { pattern, side };
  tiles.set(name, made);
  return made;
}
