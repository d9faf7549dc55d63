// Holds the picture: state in, frames out. It knows zoom and hover; what a gesture means is in gestures/.
import { Camera } from "./camera";
import { drawScene } from "./draw/draw";
import type { Look } from "./draw/look";
import { MAP, MiniMap, mapScale } from "./draw/minimap";
import { drawCarried, drawHotEnd, drawRubber } from "./draw/overlay";
import { makeMeasure } from "./draw/pen";
import { readTheme, type Theme } from "./draw/theme";
import type { Carried } from "./gestures/carry";
import type { Hit } from "./gestures/hit";
import type { OpenBench } from "./layout/bench";
import { bundled } from "./layout/bundles";
import { closeUp, fitTransform, nudge, roomOf } from "./layout/fit";
import { Flows } from "./layout/flows";
import { layoutScene, type Widths } from "./layout/layout";
import { heldStill } from "./layout/still";
import { type Thread, threadExtent, threadsOf } from "./layout/threads";
import { Motion, type Picture } from "./motion/motion";
import { drawPicture } from "./picture";
import type { CanvasState } from "./protocol";
import { around, type Box, type Point, type Scene, selectableBox } from "./scene";

const EMPTY: Scene = { nodes: [], edges: [], card: null, bounds: { x: 0, y: 0, w: 0, h: 0 } };
const FIRST_ROOM_BELOW = 300;

interface Hooks {
  /** Where large layouts are made. */
  openBench: OpenBench;
  /** After each frame. */
  onFrame: () => void;
  /** When a picture is there that is of the present state. */
  onReady: () => void;
}

export class CanvasView {
  scene: Scene = EMPTY;
  threads: Thread[] = [];
  hovered: Hit | null = null;
  /** The box being dragged with Shift, in world pixels. */
  rubber: Box | null = null;
  /** The thread's end under the pointer, which can be pulled off. */
  hotEnd: Point | null = null;
  /** What is being dragged. */
  carried: Carried | null = null;
  /** The node that a card of another panel hovers over. */
  offered: string | null = null;
  /** What a plan would take, while a person chooses how much. */
  faded: ReadonlySet<string> = new Set();
  /** A gesture has taken the pointer: a press does not pan. */
  taken = false;
  readonly camera: Camera;

  private state: CanvasState | null = null;
  private selection = new Set<string>();
  private theme: Theme;
  private size = { w: 0, h: 0 };
  private fitted = false;
  private model = "";
  private frame = 0;
  private settled: boolean | null = null;
  /** Whether a layout is being made for the present state. */
  private waiting = false;
  private readonly motion = new Motion();
  private bundle = { of: this.threads, step: 0, drawn: this.threads };
  private readonly widths: Widths = new Map();
  private readonly measure = makeMeasure();
  private readonly flows: Flows;
  private readonly miniMap: MiniMap;

  constructor(
    private readonly root: HTMLElement,
    readonly canvas: HTMLCanvasElement,
    readonly map: HTMLCanvasElement,
    private readonly hooks: Hooks,
  ) {
    this.theme = readTheme(root);
    this.flows = new Flows(() => this.waiting && this.arrange(), hooks.openBench);
    this.miniMap = new MiniMap(map);
    this.camera = new Camera(canvas, { mayPan: () => !this.taken, onMove: () => this.redraw() });
  }

  setState(state: CanvasState): void {
    this.state = state;
    this.selection = new Set(state.selection);
    this.arrange();
  }

  /** Lays out the state; the picture before stays until that is done. */
  private arrange(): void {
    const { state } = this;
    if (!state) return;
    const before = this.scene;
    const known = state.model === this.model && sharesNode(before, state);
    this.model = state.model;
    if (!known) {
      this.widths.clear();
      this.fitted = false; // also where its layout comes later, and the picture before has an input as well
    }
    let scene = layoutScene(state, this.measure, this.widths, this.flows.lay);
    this.waiting = scene === null;
    // A model that is new is shown folded rather than not at all.
    if (!scene && !known)
      scene = layoutScene({ ...state, open: null }, this.measure, this.widths, this.flows.lay);
    if (scene) this.replace(scene, known);
    else this.threads = threadsOf(state.ties, before);
    this.redraw();
    if (!this.waiting) this.hooks.onReady();
  }

  private replace(scene: Scene, known: boolean): void {
    const before = this.scene;
    const ties = this.state?.ties ?? [];
    if (!known || !this.fitted) {
      this.scene = scene;
      this.motion.stop();
      this.threads = threadsOf(ties, scene);
      this.fitted = false;
      this.showAll();
      return;
    }
    const now = performance.now();
    const from = this.shown(now);
    this.scene = heldStill(before, scene);
    this.threads = threadsOf(ties, this.scene);
    this.motion.begin(from, { scene: this.scene, threads: this.threads }, now);
    if (scene.card && scene.card.path !== before.card?.path) this.show(this.scene.card as Box);
  }

  /** What is to be seen at this moment. */
  private shown(now: number): Picture {
    return this.motion.shown({ scene: this.scene, threads: this.threads }, now);
  }

  showAll(how: "jump" | "goTo" = "jump"): void {
    if (this.size.w === 0 || this.scene.nodes.length === 0) return;
    this.fitted = true;
    const extent = around([this.scene.bounds, ...threadExtent(this.threads)]);
    // Before a block is opened the overview stands high: the block will hang below it.
    const strips = this.scene.nodes.some((node) => node.kind === "strip");
    const room = strips && !this.scene.card ? { ...extent, h: extent.h + FIRST_ROOM_BELOW } : extent;
    this.camera[how](fitTransform(room, this.size.w, this.size.h, extent));
    this.redraw();
  }

  /** What is selected, as large as one likes to read it; all where nothing is. */
  showSelection(): void {
    const boxes = [...this.selection].flatMap((path) => selectableBox(this.scene, path) ?? []);
    if (boxes.length === 0) this.showAll("goTo");
    else this.camera.goTo(closeUp(around(boxes), this.size.w, this.size.h));
    this.redraw();
  }

  /** Brings a box into view whole: as little panning as needed, and all fitted where it is too large. */
  show(box: Box): void {
    const { w, h } = roomOf(this.size.w, this.size.h);
    const { k, x, y } = this.camera.aim;
    if (box.w * k > w || box.h * k > h) {
      this.showAll("goTo");
      return;
    }
    const there = { x: box.x * k + x, y: box.y * k + y, w: box.w * k, h: box.h * k };
    const move = nudge(there, this.size.w, this.size.h);
    if (move) this.camera.goTo({ k, x: x + move.dx, y: y + move.dy });
    this.redraw();
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
    const { x, y, w, h } = this.camera.toScreen(this.scene.bounds);
    return x >= 0 && y >= 0 && x + w <= this.size.w && y + h <= this.size.h;
  }

  retheme(): void {
    this.theme = readTheme(this.root);
    this.redraw();
  }

  /** Where a path is drawn, in screen pixels. */
  boxOf(path: string): Box | null {
    const box = selectableBox(this.scene, path);
    return box ? this.camera.toScreen(box) : null;
  }

  centreOnMap(point: Point): void {
    const scale = mapScale(this.scene.bounds);
    const world = { x: (point.x - scale.x) / scale.k, y: (point.y - scale.y) / scale.k };
    const { k } = this.camera.transform;
    this.camera.jump({ k, x: this.size.w / 2 - world.x * k, y: this.size.h / 2 - world.y * k });
  }

  redraw(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => this.paint());
    this.tellSettled(false);
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    this.flows.close();
    this.camera.destroy();
  }

  /** Bundles change in steps of the zoom, not in every frame of it. */
  get drawnThreads(): Thread[] {
    const step = Math.round(2 * Math.log2(this.camera.transform.k));
    if (this.bundle.of !== this.threads || this.bundle.step !== step) {
      this.bundle = { of: this.threads, step, drawn: bundled(this.threads, 2 ** (step / 2)) };
    }
    return this.bundle.drawn;
  }

  /** The whole of it as a picture of its own. */
  picture(): HTMLCanvasElement {
    return drawPicture(this.scene, this.threads, this.look());
  }

  private look(): Look {
    const { state } = this;
    return {
      theme: this.theme,
      measure: this.measure,
      selection: this.selection,
      hovered: this.hovered === null ? null : this.hovered.kind === "fold" ? "fold" : this.hovered.path,
      scores: state?.scores ?? null,
      openPath: state?.open?.path ?? null,
      alertPath: state?.alert?.path ?? null,
      targetPath: this.carried?.kind === "nodes" ? this.carried.target : this.offered,
      lifted: this.carried?.kind === "nodes" ? this.carried.sources : [],
      faded: this.faded,
      zoom: this.camera.transform.k,
      detail: "near",
      atAnyCost: false,
    };
  }

  private paint(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const now = performance.now();
    this.camera.step(now);
    const { scene, threads } = this.shown(now);
    // Opaque: the page under it needs no mixing in.
    const context = this.canvas.getContext("2d", { alpha: false });
    if (!context || !this.state || this.size.w === 0) return;
    const { x, y, k } = this.camera.transform;
    const ratio = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = this.theme.ground;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(ratio * k, 0, 0, ratio * k, ratio * x, ratio * y);
    const view = { x: -x / k, y: -y / k, w: this.size.w / k, h: this.size.h / k };
    const drawn = this.motion.isRunning ? bundled(threads, k) : this.drawnThreads;
    drawScene(context, scene, drawn, this.look(), view);
    if (this.hotEnd) drawHotEnd(context, this.hotEnd, this.theme, k);
    if (this.rubber) drawRubber(context, this.rubber, this.theme, k);
    if (this.carried) drawCarried(context, this.carried, this.theme, k, this.measure);
    this.miniMap.paint(this.scene, view, this.theme, this.selection);
    this.hooks.onFrame();
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (this.motion.isRunning || this.camera.gliding) this.redraw();
    else this.tellSettled(!this.waiting);
  }

  /** `data-settled` says that nothing moves any more and nothing is awaited. */
  private tellSettled(settled: boolean): void {
    if (settled === this.settled) return;
    this.settled = settled;
    this.root.dataset.settled = String(settled);
  }
}

function sharesNode(scene: Scene, state: CanvasState): boolean {
  const ids = new Set(scene.nodes.map((node) => node.id));
  return state.overview.nodes.some((node) => ids.has(node.id));
}
