// Small drawing tools over a 2D context: boxes, wires, fitted text.
import type { Box, Measure, Point } from "../scene";

export type Context = CanvasRenderingContext2D;

/** Per font. A model has more names than are ever in view at once. */
const MOST_MEASURED = 20_000;

/** A measure that remembers: measuring a text costs far more than drawing a box. */
export function makeMeasure(): Measure {
  const context = document.createElement("canvas").getContext("2d");
  const fonts = new Map<string, Map<string, number>>();
  return (text, font) => {
    let known = fonts.get(font);
    if (!known) {
      known = new Map();
      fonts.set(font, known);
    }
    const before = known.get(text);
    if (before !== undefined) return before;
    if (!context) return text.length * 6.4;
    context.font = font;
    const width = context.measureText(text).width;
    if (known.size > MOST_MEASURED) known.clear();
    known.set(text, width);
    return width;
  };
}

/** The text, or as much of it as fits and an ellipsis. */
export function fitted(text: string, font: string, width: number, measure: Measure): string {
  return shortened(text, font, width, measure, (kept) => `${text.slice(0, kept)}…`);
}

/** As `fitted`; of a path it is the last names that stay, since the first are those of its neighbours. */
export function fittedPath(text: string, font: string, width: number, measure: Measure): string {
  if (!text.includes(".")) return fitted(text, font, width, measure);
  return shortened(text, font, width, measure, (kept) => `…${wholeNames(text, kept)}`);
}

/** As many of a path's last names as have `kept` characters; of the very last what there is. */
function wholeNames(path: string, kept: number): string {
  const tail = path.slice(path.length - kept);
  return tail.slice(tail.indexOf(".") + 1);
}

function shortened(
  text: string,
  font: string,
  width: number,
  measure: Measure,
  cut: (kept: number) => string,
): string {
  if (measure(text, font) <= width) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (measure(cut(middle), font) <= width) low = middle;
    else high = middle - 1;
  }
  return low > 0 ? cut(low) : "";
}

/** A name with what it gives, `layers · 16 × 8 × 8`: it is the name that gives way. */
export function fittedHead(text: string, font: string, width: number, measure: Measure): string {
  const at = text.indexOf(" · ");
  if (at < 0 || measure(text, font) <= width) return fittedPath(text, font, width, measure);
  const tail = text.slice(at);
  const head = fittedPath(text.slice(0, at), font, width - measure(tail, font), measure);
  return head ? head + tail : fitted(tail.slice(3), font, width, measure);
}

const LEAST_PX = 10.5;
const NEARLY_PX = 9.4;
const MOST_GROWTH = 1.75;

/**
 * A font grown so that it stays readable when zoomed out, and by how much. Boxes shrink with the zoom,
 * so a text in one has to be fitted after this.
 */
export function readable(font: string, zoom: number): Grown {
  const growth = Math.min(MOST_GROWTH, Math.max(1, LEAST_PX / (sizeOf(font) * zoom)));
  // Steps keep the number of fonts, and of remembered widths, small while zooming.
  return grown(font, Math.round(growth * 20) / 20);
}

/** As `readable`, but grown no further than the text has room: a whole word beats a large beginning. */
export function readableIn(text: string, font: string, zoom: number, room: number, measure: Measure): Grown {
  const most = room / Math.max(1, measure(text, font));
  const { growth } = readable(font, zoom);
  return grown(font, Math.max(1, Math.min(growth, Math.floor(most * 20) / 20)));
}

/** The font in which the text has room, where that is little smaller than one should be; else as `readable`. */
export function nearlyReadable(
  text: string,
  font: string,
  zoom: number,
  room: number,
  measure: Measure,
): Grown {
  const fits = readableIn(text, font, zoom, room, measure);
  return sizeOf(font) * fits.growth * zoom >= NEARLY_PX ? fits : readable(font, zoom);
}

export interface Grown {
  font: string;
  growth: number;
}

const fonts = new Map<string, Map<number, Grown>>();

/** There are a handful of fonts in a handful of steps: each is spelled once. */
function grown(font: string, growth: number): Grown {
  let steps = fonts.get(font);
  if (!steps) {
    steps = new Map();
    fonts.set(font, steps);
  }
  let made = steps.get(growth);
  if (!made) {
    const larger = font.replace(/[\d.]+px/, `${sizeOf(font) * growth}px`);
    made = { font: growth === 1 ? font : larger, growth };
    steps.set(growth, made);
  }
  return made;
}

const sizes = new Map<string, number>();

function sizeOf(font: string): number {
  let size = sizes.get(font);
  if (size === undefined) {
    size = Number(/([\d.]+)px/.exec(font)?.[1] ?? LEAST_PX);
    sizes.set(font, size);
  }
  return size;
}

export function roundBox(context: Context, box: Box, radius: number, grow = 0): void {
  context.beginPath();
  context.roundRect(box.x - grow, box.y - grow, box.w + 2 * grow, box.h + 2 * grow, radius);
}

/** A wire that leaves and arrives level; three points and more pass level through the middle ones. */
export function wirePath(context: Context, points: readonly Point[]): void {
  const first = points[0];
  if (!first) return;
  context.moveTo(first.x, first.y);
  for (let i = 1; i < points.length; i++) {
    const a = points[i - 1] as Point;
    const b = points[i] as Point;
    if (Math.abs(a.y - b.y) < 0.5) context.lineTo(b.x, b.y);
    else {
      const middle = (a.x + b.x) / 2;
      context.bezierCurveTo(middle, a.y, middle, b.y, b.x, b.y);
    }
  }
}

/** Straight pieces with rounded corners. */
export function elbow(context: Context, points: readonly Point[], radius: number): void {
  context.beginPath();
  elbowPath(context, points, radius);
  context.stroke();
}

/** The same as a part of a path; where a piece is short its corners are narrower. */
export function elbowPath(context: Context, points: readonly Point[], radius: number): void {
  const first = points[0];
  const last = points[points.length - 1];
  if (!first || !last) return;
  context.moveTo(first.x, first.y);
  for (let i = 1; i < points.length - 1; i++) {
    const [before, corner, next] = [points[i - 1] as Point, points[i] as Point, points[i + 1] as Point];
    const room = Math.min(reach(before, corner) / (i > 1 ? 2 : 1), reach(corner, next) / 2);
    context.arcTo(corner.x, corner.y, next.x, next.y, Math.min(radius, room));
  }
  context.lineTo(last.x, last.y);
}

const reach = (a: Point, b: Point): number => Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y));

/** Diagonal lines clipped to the box: the sign of an opaque module. */
export function hatch(context: Context, box: Box, radius: number, colour: string): void {
  context.save();
  roundBox(context, box, radius);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (let x = box.x - box.h; x < box.x + box.w; x += 6) {
    context.moveTo(x, box.y + box.h);
    context.lineTo(x + box.h, box.y);
  }
  context.stroke();
  context.restore();
}

export function centred(
  context: Context,
  text: string,
  x: number,
  y: number,
  font: string,
  colour: string,
): void {
  context.font = font;
  context.fillStyle = colour;
  context.textAlign = "center";
  context.fillText(text, x, y);
}
