// Where one looks from: pan and zoom by hand (d3-zoom), and gliding to a place.
import { select } from "d3-selection";
import { type ZoomBehavior, zoom, zoomIdentity } from "d3-zoom";
import { type Transform, ZOOM } from "./layout/fit";
import { ease, GLIDE_MS, reducedMotion } from "./motion/clock";
import type { Box, Point } from "./scene";

interface Options {
  /** Asked at each press: a gesture that has taken it must not pan. */
  mayPan: () => boolean;
  onMove: () => void;
}

export class Camera {
  transform: Transform = { x: 0, y: 0, k: 1 };
  private glide: { from: Transform; to: Transform; start: number } | null = null;
  private readonly behaviour: ZoomBehavior<HTMLCanvasElement, unknown>;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    { mayPan, onMove }: Options,
  ) {
    this.behaviour = zoom<HTMLCanvasElement, unknown>()
      .scaleExtent([ZOOM.least, ZOOM.most])
      .clickDistance(4)
      // Shift-drag draws a selection box, so it must not pan.
      .filter(
        (event: MouseEvent) =>
          event.type === "wheel" || (!event.shiftKey && !event.ctrlKey && event.button === 0 && mayPan()),
      )
      .on("zoom", (event: { transform: Transform; sourceEvent: unknown }) => {
        if (event.sourceEvent) this.glide = null;
        const { x, y, k } = event.transform;
        this.transform = { x, y, k };
        onMove();
      });
    select(canvas).call(this.behaviour).on("dblclick.zoom", null);
  }

  get gliding(): boolean {
    return this.glide !== null;
  }

  /** Where it is, or where it is going. */
  get aim(): Transform {
    return this.glide?.to ?? this.transform;
  }

  jump({ x, y, k }: Transform): void {
    this.glide = null;
    select(this.canvas).call(this.behaviour.transform, zoomIdentity.translate(x, y).scale(k));
  }

  /** Moves there in a moment; at once where motion is not wanted. */
  goTo(to: Transform): void {
    if (reducedMotion()) this.jump(to);
    else this.glide = { from: this.transform, to, start: performance.now() };
  }

  /** The next piece of the way. */
  step(now: number): void {
    if (!this.glide) return;
    const { from, to, start } = this.glide;
    const t = ease((now - start) / GLIDE_MS);
    const glide = t < 1 ? this.glide : null;
    const part = (a: number, b: number) => a + (b - a) * t;
    // Zoom in equal ratios, and place by what stays still under it, so that the way looks straight.
    const k = from.k * (to.k / from.k) ** t;
    const done = Math.abs(to.k - from.k) < 1e-9 ? t : (k - from.k) / (to.k - from.k);
    const at = (a: number, b: number) => (Math.abs(to.k - from.k) < 1e-9 ? part(a, b) : a + (b - a) * done);
    this.jump(t < 1 ? { k, x: at(from.x, to.x), y: at(from.y, to.y) } : to);
    this.glide = glide;
  }

  zoomBy(factor: number): void {
    this.glide = null;
    select(this.canvas).call(this.behaviour.scaleBy, factor);
  }

  toWorld(point: Point): Point {
    const { x, y, k } = this.transform;
    return { x: (point.x - x) / k, y: (point.y - y) / k };
  }

  toScreen(box: Box): Box {
    const { x, y, k } = this.transform;
    return { x: box.x * k + x, y: box.y * k + y, w: box.w * k, h: box.h * k };
  }

  destroy(): void {
    this.glide = null;
    select(this.canvas).on(".zoom", null);
  }
}
