// Holds the picture: state in, frames out. It knows zoom and hover; what a gesture means is interaction.ts.
import { select } from "d3-selection";
import { type ZoomBehavior, zoom, zoomIdentity } from "d3-zoom";
import { drawScene } from "./draw";
import { fitTransform, nudge, roomOf, type Transform, ZOOM } from "./fit";
import type { Hit } from "./hit";
import { layoutScene, type Widths } from "./layout";
import { drawMap, MAP, mapScale } from "./minimap";
import { type Context, makeMeasure } from "./pen";
import type { CanvasState } from "./protocol";
import { around, type Box, type Point, type Scene, selectableBox } from "./scene";
import { readTheme, type Theme } from "./theme";
import { type Thread, threadExtent, threadsOf } from "./threads";

const EMPTY: Scene = { nodes: [], edges: [], card: null, bounds: { x: 0, y: 0, w: 0, h: 0 } };
const FIRST_ROOM_BELOW = 300;

export class CanvasView {
  scene: Scene = EMPTY;
  hovered: Hit | null = null;
  /** The box being dragged with Shift, in world pixels. */
  rubber: Box | null = null;

  private state: CanvasState | null = null;
  private threads: Thread[] = [];
  private selection = new Set<string>();
  private theme: Theme;
  private transform: Transform = { x: 0, y: 0, k: 1 };
  private size = { w: 0, h: 0 };
  private fitted = false;
  private frame = 0;
  private readonly widths: Widths = new Map();
  private readonly measure = makeMeasure();
  private readonly behaviour: ZoomBehavior<HTMLCanvasElement, unknown>;

  constructor(
    private readonly root: HTMLElement,
    readonly canvas: HTMLCanvasElement,
    readonly map: HTMLCanvasElement,
    private readonly onFrame: () => void,
  ) {
    this.theme = readTheme(root);
    this.behaviour = zoom<HTMLCanvasElement, unknown>()
      .scaleExtent([ZOOM.least, ZOOM.most])
      .clickDistance(4)
      // Shift-drag draws a selection box, so it must not pan.
      .filter((event: MouseEvent) => event.type === "wheel" || (!event.shiftKey && event.button === 0))
      .on("zoom", (event: { transform: Transform }) => {
        const { x, y, k } = event.transform;
        this.transform = { x, y, k };
        this.redraw();
      });
    select(canvas).call(this.behaviour).on("dblclick.zoom", null);
  }

  setState(state: CanvasState): void {
    const before = this.scene;
    const opened = state.open?.path ?? null;
    const wasOpen = this.state?.open?.path ?? null;
    this.state = state;
    this.selection = new Set(state.selection);
    if (!sharesNode(before, state)) {
      this.widths.clear();
      this.fitted = false;
    }
    this.scene = layoutScene(state, this.measure, this.widths);
    this.threads = threadsOf(state.ties, this.scene);
    if (!this.fitted) this.showAll();
    else {
      this.holdStill(before);
      if (opened !== null && opened !== wasOpen && this.scene.card) this.show(this.scene.card);
    }
    this.redraw();
  }

  /** Moves the view by what the first node that stays was moved, so that nothing seems to jump. */
  private holdStill(before: Scene): void {
    for (const node of this.scene.nodes) {
      const old = before.nodes.find((item) => item.id === node.id);
      if (!old) continue;
      const { x, y, k } = this.transform;
      if (old.x !== node.x || old.y !== node.y) {
        this.apply({ k, x: x + (old.x - node.x) * k, y: y + (old.y - node.y) * k });
      }
      return;
    }
  }

  showAll(): void {
    if (this.size.w === 0 || this.scene.nodes.length === 0) return;
    this.fitted = true;
    const extent = around([this.scene.bounds, ...threadExtent(this.threads)]);
    // Before a block is opened the overview stands high: the block will hang below it.
    const strips = this.scene.nodes.some((node) => node.kind === "strip");
    const room = strips && !this.scene.card ? { ...extent, h: extent.h + FIRST_ROOM_BELOW } : extent;
    this.apply(fitTransform(room, this.size.w, this.size.h, extent));
  }

  /** Brings a box into view whole: as little panning as needed, and all fitted where it is too large. */
  show(box: Box): void {
    const { w, h } = roomOf(this.size.w, this.size.h);
    if (box.w * this.transform.k > w || box.h * this.transform.k > h) {
      this.showAll();
      return;
    }
    const move = nudge(this.toScreen(box), this.size.w, this.size.h);
    const { x, y, k } = this.transform;
    if (move) this.apply({ k, x: x + move.dx, y: y + move.dy });
  }

  zoomBy(factor: number): void {
    select(this.canvas).call(this.behaviour.scaleBy, factor);
  }

  private apply({ x, y, k }: Transform): void {
    select(this.canvas).call(this.behaviour.transform, zoomIdentity.translate(x, y).scale(k));
  }

  resize(w: number, h: number): void {
    if (w === this.size.w && h === this.size.h) return;
    const first = this.size.w === 0;
    // Colours resolve only once the panel hangs in the page, which its first size tells.
    if (first) this.theme = readTheme(this.root);
    const whole = !first && this.seesAll();
    this.size = { w, h };
    for (const [canvas, width, height] of [
      [this.canvas, w, h],
      [this.map, MAP.w, MAP.h],
    ] as const) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    if (first || !this.fitted || whole) this.showAll();
    this.paint();
  }

  /** Whether the picture lies in the view whole; then it is kept so when the view changes its size. */
  private seesAll(): boolean {
    const { x, y, w, h } = this.toScreen(this.scene.bounds);
    return x >= 0 && y >= 0 && x + w <= this.size.w && y + h <= this.size.h;
  }

  retheme(): void {
    this.theme = readTheme(this.root);
    this.redraw();
  }

  toWorld(point: Point): Point {
    const { x, y, k } = this.transform;
    return { x: (point.x - x) / k, y: (point.y - y) / k };
  }

  toScreen(box: Box): Box {
    const { x, y, k } = this.transform;
    return { x: box.x * k + x, y: box.y * k + y, w: box.w * k, h: box.h * k };
  }

  /** Where a path is drawn, in screen pixels. */
  boxOf(path: string): Box | null {
    const box = selectableBox(this.scene, path);
    return box ? this.toScreen(box) : null;
  }

  centreOnMap(point: Point): void {
    const scale = mapScale(this.scene.bounds);
    const world = { x: (point.x - scale.x) / scale.k, y: (point.y - scale.y) / scale.k };
    const { k } = this.transform;
    this.apply({ k, x: this.size.w / 2 - world.x * k, y: this.size.h / 2 - world.y * k });
  }

  redraw(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => this.paint());
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    select(this.canvas).on(".zoom", null);
  }

  private paint(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const context = this.canvas.getContext("2d");
    if (!context || !this.state || this.size.w === 0) return;
    const { x, y, k } = this.transform;
    const ratio = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(ratio * k, 0, 0, ratio * k, ratio * x, ratio * y);
    const corner = this.toWorld({ x: 0, y: 0 });
    const view = { ...corner, w: this.size.w / k, h: this.size.h / k };
    drawScene(
      context,
      this.scene,
      this.threads,
      {
        theme: this.theme,
        measure: this.measure,
        selection: this.selection,
        hovered: this.hovered === null ? null : this.hovered.kind === "fold" ? "fold" : this.hovered.path,
        scores: this.state.scores,
        openPath: this.state.open?.path ?? null,
        alertPath: this.state.alert?.path ?? null,
        zoom: k,
      },
      view,
    );
    if (this.rubber) this.paintRubber(context, this.rubber);
    const map = this.map.getContext("2d");
    if (map) {
      map.setTransform(ratio, 0, 0, ratio, 0, 0);
      drawMap(map, this.scene, view, this.theme, this.selection);
    }
    this.onFrame();
  }

  private paintRubber(context: Context, box: Box): void {
    context.fillStyle = this.theme.accent;
    context.globalAlpha = 0.1;
    context.fillRect(box.x, box.y, box.w, box.h);
    context.globalAlpha = 1;
    context.strokeStyle = this.theme.accent;
    context.lineWidth = 1.2 / this.transform.k;
    context.strokeRect(box.x, box.y, box.w, box.h);
  }
}

function sharesNode(scene: Scene, state: CanvasState): boolean {
  const ids = new Set(scene.nodes.map((node) => node.id));
  return state.overview.nodes.some((node) => ids.has(node.id));
}
