import { afterEach, describe, expect, it, vi } from "vitest";
import { openBlock } from "../dev/blocks";
import { crowd } from "../dev/crowd";
import { type Scene as DevScene, scenes } from "../dev/scenes";
import { isWorker, type Scope, serveLayouts, workersOf } from "../src/canvas/layout/bench";
import { computeFlow, type FlowLayout, type FlowTask } from "../src/canvas/layout/flow";
import { type Flow, Flows, layFlowNow } from "../src/canvas/layout/flows";
import { layoutScene } from "../src/canvas/layout/layout";
import { canvasState } from "../src/canvas/protocol";
import { type Box, overlaps } from "../src/canvas/scene";

const GAPS = { rank: 24, node: 14 };
const block = (index: number) => {
  const { nodes, edges } = openBlock(index);
  return {
    nodes: nodes.map(({ id }) => ({ id: `${index}.${id}`, w: 60, h: 30 })),
    edges: named(edges, index),
  };
};
const named = (edges: ReturnType<typeof openBlock>["edges"], index: number) =>
  edges.map((edge) => ({ ...edge, source: `${index}.${edge.source}`, target: `${index}.${edge.target}` }));

/** A worker that answers when it is told to. */
function slowBench() {
  const posted: { key: string; task: FlowTask }[] = [];
  let answer: (key: string, layout: FlowLayout | null) => void = () => {};
  let ready = 0;
  const flows = new Flows(
    () => ready++,
    (tell) => {
      answer = tell;
      return { post: (key, task) => posted.push({ key, task }), close: () => {} };
    },
  );
  const finish = () => {
    for (const { key, task } of posted.splice(0)) answer(key, computeFlow(task));
  };
  return { flows, posted, finish, fail: () => answer("", null), readyTimes: () => ready };
}

describe("flows laid out in a worker", () => {
  it("are asked for once, and there when it answers", () => {
    const { flows, posted, finish, readyTimes } = slowBench();
    const { nodes, edges } = block(1);
    expect(flows.lay(nodes, edges, GAPS)).toBeNull();
    expect(flows.lay(nodes, edges, GAPS)).toBeNull();
    expect(posted).toHaveLength(1);
    finish();
    expect(readyTimes()).toBe(1);
    expect(flows.lay(nodes, edges, GAPS)).toEqual(layFlowNow(nodes, edges, GAPS));
  });

  it("are shared by groups that differ in their names only", () => {
    const { flows, posted, finish } = slowBench();
    flows.lay(block(1).nodes, block(1).edges, GAPS);
    finish();
    const other = flows.lay(block(2).nodes, block(2).edges, GAPS);
    expect([...(other?.boxes.keys() ?? [])][0]).toBe("2.in");
    expect(posted).toEqual([]);
  });

  it("are laid out in place after the worker failed, or where there is none", () => {
    const { flows, fail, readyTimes } = slowBench();
    const { nodes, edges } = block(1);
    expect(flows.lay(nodes, edges, GAPS)).toBeNull();
    fail();
    expect(readyTimes()).toBe(1);
    expect(flows.lay(nodes, edges, GAPS)).not.toBeNull();
    expect(new Flows(() => {}).lay(nodes, edges, GAPS)).not.toBeNull();
  });

  it("make the scene wait, so that the picture before can stay", () => {
    const { flows, finish } = slowBench();
    const state = canvasState(scenes.demo?.canvas);
    const measure = (text: string) => text.length * 6.5;
    expect(layoutScene(state, measure, new Map(), flows.lay)).toBeNull();
    finish();
    expect(layoutScene(state, measure, new Map(), flows.lay)?.card?.nodes).toHaveLength(15);
  });
});

describe("the worker", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("answers each task with its key, in the same text as the panel", () => {
    const said: unknown[] = [];
    const scope: Scope = { onmessage: null, postMessage: (message) => said.push(message) };
    serveLayouts(scope);
    const task: FlowTask = { sizes: [{ w: 10, h: 10 }], wires: [], gaps: GAPS };
    scope.onmessage?.({ data: { key: "one", task } } as MessageEvent);
    expect(said).toEqual([{ key: "one", layout: computeFlow(task) }]);
    expect(isWorker()).toBe(false);
  });

  it("is none without the panel's text, or where the page refuses it", () => {
    const made: unknown[] = [];
    class Refused {
      constructor(...what: unknown[]) {
        made.push(what);
        throw new Error("content policy");
      }
    }
    vi.stubGlobal("Worker", Refused);
    for (const text of [undefined, "", "https://elsewhere.example/canvas.js"]) {
      expect(workersOf(text)(() => {})).toBeNull();
    }
    expect(made).toHaveLength(0);
    expect(workersOf("export default {}")(() => {})).toBeNull();
    expect(made).toHaveLength(1);
  });

  it("tells that it failed, so that layouts are made in place", () => {
    const hears = new Map<string, (event: unknown) => void>();
    class Failing {
      addEventListener = (name: string, hear: (event: unknown) => void) => hears.set(name, hear);
      postMessage = () => hears.get("error")?.({});
      terminate = () => {};
    }
    vi.stubGlobal("Worker", Failing);
    const { nodes, edges } = block(1);
    let ready = 0;
    const flows = new Flows(() => ready++, workersOf("export default {}"));
    expect(flows.lay(nodes, edges, GAPS)).toBeNull();
    expect(ready).toBe(1);
    expect(flows.lay(nodes, edges, GAPS)).toEqual(layFlowNow(nodes, edges, GAPS));
  });
});

describe("flows too large for dagre", () => {
  it("stand in columns, none on another, what feeds a node to its left", () => {
    const state = canvasState(crowd(scenes.demo as DevScene, "net", 2000).canvas);
    const open = state.open as NonNullable<typeof state.open>;
    const flow = layFlowNow(
      open.nodes.map(({ id }) => ({ id, w: 60, h: 30 })),
      open.edges,
      GAPS,
    ) as Flow;
    const boxes = [...flow.boxes.values()].sort((a, b) => a.x - b.x);
    const clash = boxes.some((a, i) => boxes.slice(i + 1, i + 200).some((b) => overlaps(a, b)));
    expect(clash).toBe(false);
    const backwards = open.edges.filter(
      (edge) =>
        !edge.residual && (flow.boxes.get(edge.source) as Box).x >= (flow.boxes.get(edge.target) as Box).x,
    );
    expect(backwards).toEqual([]);
  });

  it("end although they run in a circle", () => {
    const nodes = Array.from({ length: 1000 }, (_, i) => ({ id: String(i), w: 10, h: 10 }));
    const edges = nodes.map((_, i) => ({
      source: String(i),
      target: String((i + 1) % 1000),
      residual: false,
    }));
    expect(layFlowNow(nodes, edges, GAPS)?.boxes.size).toBe(1000);
  });
});
