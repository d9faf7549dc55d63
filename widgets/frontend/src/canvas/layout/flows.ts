// Layouts of flows: each structure once, in a worker where there is one, in place where there is none.
import type { FlowEdge } from "../protocol";
import type { Box, SceneEdge } from "../scene";
import type { Bench, OpenBench } from "./bench";
import { computeFlow, type FlowLayout, type FlowTask, type Gaps, type Sized } from "./flow";

export interface Flow {
  boxes: Map<string, Box>;
  edges: SceneEdge[];
  w: number;
  h: number;
}

/** Gives a layout, or null while it is being made. */
export type LayFlow = (nodes: readonly Sized[], edges: readonly FlowEdge[], gaps: Gaps) => Flow | null;

const MOST_REMEMBERED = 64;
/** A flow this small is laid out in less time than a message takes. */
const SMALL = 10;

export class Flows {
  private readonly known = new Map<string, FlowLayout>();
  private readonly asked = new Map<string, FlowTask>();
  private bench: Bench | null | undefined;

  /** `onReady` is called when a layout that was being made is there. */
  constructor(
    private readonly onReady: () => void,
    private readonly open: OpenBench = () => null,
  ) {}

  readonly lay: LayFlow = (nodes, edges, gaps) => {
    const named = withoutNames(nodes, edges, gaps);
    // Flows that differ in their names only (the blocks of one strip) have one key.
    const key = JSON.stringify(named.task);
    let layout = this.known.get(key);
    if (!layout) {
      if (nodes.length > SMALL && this.ask(key, named.task)) return null;
      layout = computeFlow(named.task);
      this.remember(key, layout);
    }
    return named.back(layout);
  };

  close(): void {
    this.bench?.close();
    this.bench = null;
    this.asked.clear();
  }

  private ask(key: string, task: FlowTask): boolean {
    if (this.bench === undefined) this.bench = this.open((at, layout) => this.answer(at, layout));
    if (!this.bench) return false;
    if (!this.asked.has(key)) {
      this.asked.set(key, task);
      this.bench.post(key, task);
    }
    return true;
  }

  /** A worker that failed (a page may refuse it) answers null: then all is done here. */
  private answer(key: string, layout: FlowLayout | null): void {
    if (layout) {
      this.asked.delete(key);
      this.remember(key, layout);
    } else {
      this.bench?.close();
      this.bench = null;
      this.asked.clear();
    }
    this.onReady();
  }

  private remember(key: string, layout: FlowLayout): void {
    const [oldest] = this.known.keys();
    if (this.known.size >= MOST_REMEMBERED && oldest !== undefined) this.known.delete(oldest);
    this.known.set(key, layout);
  }
}

function withoutNames(nodes: readonly Sized[], edges: readonly FlowEdge[], gaps: Gaps) {
  const place = new Map(nodes.map((node, i) => [node.id, i]));
  const known = edges.filter((edge) => place.has(edge.source) && place.has(edge.target));
  const task: FlowTask = {
    sizes: nodes.map(({ w, h }) => ({ w, h })),
    wires: known.map(({ source, target, residual }) => ({
      source: place.get(source) as number,
      target: place.get(target) as number,
      residual,
    })),
    gaps,
  };
  const back = ({ boxes, paths, w, h }: FlowLayout): Flow => ({
    boxes: new Map(nodes.map((node, i) => [node.id, boxes[i] as Box])),
    edges: known.map((edge, i) => ({ ...edge, points: paths[i] ?? [] })),
    w,
    h,
  });
  return { task, back };
}

/** Lays out at once, remembering nothing. */
export const layFlowNow: LayFlow = (nodes, edges, gaps) => {
  const named = withoutNames(nodes, edges, gaps);
  return named.back(computeFlow(named.task));
};
