// While something is dragged near the canvas's edge the view moves on, the faster the nearer to it.
import { bottom, type Point, right } from "../scene";
import type { CanvasView } from "../view";

/** From here on to the edge, in screen pixels. */
const EDGE_PX = 48;
/** Screen pixels per second at the very edge. */
const FASTEST = 900;
/** A frame that came late must not jump. */
const LONGEST_S = 0.05;

interface Size {
  w: number;
  h: number;
}

/** How fast the view is to move, in screen pixels per second; not at all outside the canvas. */
export function panSpeed({ x, y }: Point, { w, h }: Size): Point {
  if (x < 0 || y < 0 || x > w || y > h) return { x: 0, y: 0 };
  return { x: along(x, w), y: along(y, h) };
}

function along(at: number, size: number): number {
  // In a small canvas the middle stays calm.
  const edge = Math.min(EDGE_PX, size / 4);
  const near = (distance: number) => (distance < edge ? (1 - distance / edge) ** 2 : 0);
  return FASTEST * (near(size - at) - near(at));
}

interface Frames {
  request: (step: (now: number) => void) => number;
  cancel: (frame: number) => void;
}

interface Options {
  size: () => Size;
  /** Moves the view by so many screen pixels. */
  pan: (dx: number, dy: number) => void;
  frames?: Frames;
}

const BROWSER: Frames = {
  request: (step) => requestAnimationFrame(step),
  cancel: (frame) => cancelAnimationFrame(frame),
};

export class AutoPan {
  private at: Point | null = null;
  private frame = 0;
  private before: number | null = null;
  private readonly frames: Frames;

  constructor(private readonly options: Options) {
    this.frames = options.frames ?? BROWSER;
  }

  /** Something is dragged at this place. */
  dragTo(at: Point): void {
    this.at = at;
    const { x, y } = panSpeed(at, this.options.size());
    if (x === 0 && y === 0) this.rest();
    else if (!this.frame) this.frame = this.frames.request(this.step);
  }

  /** Nothing is dragged any more, or no longer here. */
  stop(): void {
    this.at = null;
    this.rest();
  }

  private rest(): void {
    if (this.frame) this.frames.cancel(this.frame);
    this.frame = 0;
    this.before = null;
  }

  private readonly step = (now: number): void => {
    this.frame = 0;
    if (!this.at) return;
    const speed = panSpeed(this.at, this.options.size());
    const passed_s = this.before === null ? 0 : Math.min(LONGEST_S, Math.max(0, (now - this.before) / 1000));
    this.before = now;
    if (speed.x === 0 && speed.y === 0) {
      this.before = null;
      return;
    }
    if (passed_s > 0) this.options.pan(speed.x * passed_s, speed.y * passed_s);
    this.frame = this.frames.request(this.step);
  };
}

/** So much of a wanted move that the picture, between `start` and `end` of a view of `size`, stays in sight. */
export function within(move: number, start: number, end: number, size: number): number {
  const middle = size / 2;
  return move > 0 ? Math.min(move, Math.max(0, end - middle)) : Math.max(move, Math.min(0, start - middle));
}

/** Moves a view's camera; `onMoved` follows each piece of the way. */
export function panOf(view: CanvasView, onMoved: () => void): AutoPan {
  const size = () => ({ w: view.canvas.clientWidth, h: view.canvas.clientHeight });
  const pan = (dx: number, dy: number) => {
    const picture = view.camera.toScreen(view.scene.bounds);
    const { w, h } = size();
    const { x, y, k } = view.camera.transform;
    const by = { x: within(dx, picture.x, right(picture), w), y: within(dy, picture.y, bottom(picture), h) };
    if (by.x === 0 && by.y === 0) return;
    view.camera.jump({ k, x: x - by.x, y: y - by.y });
    onMoved();
  };
  return new AutoPan({ size, pan });
}
