// Ties as coloured threads with their numbers.
import type { Thread } from "../layout/threads";
import { type Box, FONTS, type Point } from "../scene";
import { type Look, READABLE } from "./look";
import { drawRing } from "./node";
import { type Context, centred, elbowPath, readable, roundBox } from "./pen";

/** Under this zoom an end is a speck and a number cannot be read. */
const TOLD = 0.3;
/** Threads in one path. */
const BATCH = 32;
const CORNER = 9;
const PENDING = "pending tie";

interface Group {
  colour: string;
  width: number;
  pending: boolean;
  alpha: number;
  threads: Thread[];
}

/** A pending thread is dashed and says so; a bundle is thick and says how many it is. */
export function drawThreads(context: Context, threads: readonly Thread[], look: Look, view: Box): void {
  const told = look.zoom >= TOLD;
  const shown = threads.filter((thread) => inView(thread, view));
  for (const group of grouped(shown, look)) {
    context.globalAlpha = group.alpha;
    drawArcs(context, group, told);
    if (told) drawEnds(context, group, look);
  }
  context.globalAlpha = 1;
  if (!told) return;
  const said: Point[] = [];
  for (const thread of shown) {
    if (!thread.glyph) continue;
    const { x, y } = thread.glyph;
    context.globalAlpha = thread.alpha ?? 1;
    if (thread.count > 1) drawCount(context, thread, x, y, look);
    else drawRing(context, x, y, thread.index, look);
    if (thread.pending && thread.word && look.zoom >= READABLE.title) {
      const { font, growth } = readable(FONTS.smallStrong, look.zoom);
      const at = { x, y: y + (thread.word > 0 ? 20 : -12) * growth };
      // Of several beside each other the dashes say the rest.
      const [w, h] = [look.measure(PENDING, font) + 8, 16 * growth];
      if (said.some((other) => Math.abs(other.x - at.x) < w && Math.abs(other.y - at.y) < h)) continue;
      said.push(at);
      centred(context, PENDING, at.x, at.y, font, look.theme.soft);
    }
  }
  context.globalAlpha = 1;
}

/** What is drawn alike goes into one path: a few large ones are quicker than many small ones. */
function grouped(threads: readonly Thread[], look: Look): Iterable<Group> {
  // Threads keep their width on the screen down to a hairline's double.
  const finest = Math.max(1, 0.9 / look.zoom / 2.4);
  const groups = new Map<string, Group>();
  for (const thread of threads) {
    const colour = thread.colour ?? look.theme.soft;
    const width = 2.4 * finest * Math.min(3, 1 + 0.35 * Math.log2(thread.count));
    const alpha = thread.alpha ?? 1;
    const key = `${colour} ${width} ${thread.pending} ${alpha}`;
    const group = groups.get(key);
    if (group && group.threads.length < BATCH) group.threads.push(thread);
    else {
      if (group) groups.set(`${key} ${groups.size}`, group);
      groups.set(key, { colour, width, pending: thread.pending, alpha, threads: [thread] });
    }
  }
  return groups.values();
}

function drawArcs(context: Context, { colour, width, pending, threads }: Group, told: boolean): void {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineCap = told ? "round" : "butt";
  if (pending) context.setLineDash([5, 5]);
  context.beginPath();
  for (const { arcs, reach, ends } of threads) {
    // A bundle's ends are brackets, as long as its ties lie apart.
    reach.forEach(({ from, to }, i) => {
      const y = ends[i]?.y ?? 0;
      context.moveTo(from, y);
      context.lineTo(to, y);
    });
    for (const { from, to, bulge, via } of arcs) {
      if (via.length > 0) elbowPath(context, [from, ...via, to], CORNER);
      else {
        context.moveTo(from.x, from.y);
        context.bezierCurveTo(from.x, from.y + bulge, to.x, to.y + bulge, to.x, to.y);
      }
    }
  }
  context.stroke();
  if (pending) context.setLineDash([]);
  context.lineCap = "butt";
}

function drawEnds(context: Context, { threads }: Group, look: Look): void {
  context.fillStyle = look.theme.ground;
  context.lineWidth = 2;
  context.beginPath();
  for (const { ends, count } of threads) {
    if (count > 1) continue;
    for (const end of ends) {
      context.moveTo(end.x + 3.5, end.y);
      context.arc(end.x, end.y, 3.5, 0, 2 * Math.PI);
    }
  }
  context.fill();
  context.stroke();
}

function drawCount(context: Context, thread: Thread, x: number, y: number, look: Look): void {
  const { font, growth } = readable(FONTS.glyph, look.zoom);
  const text = `× ${thread.count}`;
  const w = look.measure(text, font) + 10 * growth;
  const h = 14 * growth;
  roundBox(context, { x: x - w / 2, y: y - h / 2, w, h }, h / 2);
  context.fillStyle = look.theme.raised;
  context.fill();
  context.strokeStyle = thread.colour ?? look.theme.soft;
  context.lineWidth = 1.8;
  context.stroke();
  centred(context, text, x, y + 3.5 * growth, font, look.theme.ink);
}

/** Arcs reach a little beyond their ends, numbers and words a little more. */
function inView({ ends, arcs }: Thread, view: Box): boolean {
  const slack = 80;
  let [x, y, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
  const reach = (at: Point) => {
    x = Math.min(x, at.x);
    y = Math.min(y, at.y);
    x2 = Math.max(x2, at.x);
    y2 = Math.max(y2, at.y);
  };
  for (const end of ends) reach(end);
  for (const { via } of arcs) for (const corner of via) reach(corner);
  return (
    x2 >= view.x - slack &&
    x <= view.x + view.w + slack &&
    y2 >= view.y - slack &&
    y <= view.y + view.h + slack
  );
}
