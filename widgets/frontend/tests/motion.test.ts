import { afterEach, describe, expect, it, vi } from "vitest";
import { openBlock } from "../dev/blocks";
import { crowd } from "../dev/crowd";
import { type Scene as DevScene, scenes } from "../dev/scenes";
import { closeUp } from "../src/canvas/layout/fit";
import { layoutScene, type Widths } from "../src/canvas/layout/layout";
import { heldStill } from "../src/canvas/layout/still";
import { type Thread, threadsOf } from "../src/canvas/layout/threads";
import { blend, worthMoving } from "../src/canvas/motion/blend";
import { ease, GLIDE_MS } from "../src/canvas/motion/clock";
import { Motion } from "../src/canvas/motion/motion";
import { blendThreads, worthFading } from "../src/canvas/motion/threads";
import { type CanvasState, type Cell, canvasState } from "../src/canvas/protocol";
import type { Box, Scene } from "../src/canvas/scene";

const measure = (text: string) => text.length * 6.5;
const demo = canvasState(scenes.demo?.canvas);
const layer = (i: number) => `model.layers.${i}`;
const at = ({ x, y }: Box) => [x, y];

/** The scenes of two states one after the other, the second held where the first was. */
function pair(first: CanvasState, second: CanvasState): [Scene, Scene] {
  const widths: Widths = new Map();
  const before = layoutScene(first, measure, widths) as Scene;
  return [before, heldStill(before, layoutScene(second, measure, widths) as Scene)];
}

const overviewWithout = (id: string): CanvasState => ({
  ...demo,
  overview: {
    nodes: demo.overview.nodes.filter((node) => node.id !== id),
    edges: demo.overview.edges.filter((edge) => edge.source !== id && edge.target !== id),
  },
});

describe("an edit leaves untouched nodes where they were", () => {
  it("when a card is taken out at either end", () => {
    for (const id of ["embed", "head"]) {
      const [before, after] = pair(demo, overviewWithout(id));
      const strip = (scene: Scene) => scene.nodes.find((node) => node.id === "layers") as Scene["nodes"][0];
      expect(at(strip(after))).toEqual(at(strip(before)));
      expect(strip(after).cells.map(at)).toEqual(strip(before).cells.map(at));
    }
  });

  it("when blocks leave a strip or join it: the others keep their place and width", () => {
    const withCells = (count: number): CanvasState => ({
      ...demo,
      overview: {
        ...demo.overview,
        nodes: demo.overview.nodes.map((node) =>
          node.kind === "strip" ? { ...node, cells: blocks(count) } : node,
        ),
      },
    });
    const blocks = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...cell, path: layer(i), label: String(i) }));
    const cell = demo.overview.nodes[1]?.cells[0] as (typeof demo.overview.nodes)[0]["cells"][0];
    const boxes = (scene: Scene, count: number) =>
      scene.nodes.flatMap((node) => node.cells.slice(0, count).map((item) => [item.x, item.w]));
    for (const [first, second] of [
      [10, 7],
      [10, 13],
    ] as const) {
      const [before, after] = pair(withCells(first), withCells(second));
      const both = Math.min(first, second);
      expect(boxes(after, both)).toEqual(boxes(before, both));
      expect(worthMoving(before, after)).toBe(true);
    }
    // A strip that would stand half empty becomes shorter.
    const [before, after] = pair(withCells(10), withCells(4));
    expect(boxes(after, 4)).toEqual(boxes(before, 4));
    expect(after.nodes[1]?.w).toBeLessThan((before.nodes[1]?.w ?? 0) / 2);
  });

  it("and the opened block too, with what is in it", () => {
    const [before, after] = pair(demo, overviewWithout("embed"));
    expect(at(after.card as Box)).toEqual(at(before.card as Box));
    expect(after.card?.nodes.map(at)).toEqual(before.card?.nodes.map(at));
    const [, other] = pair(demo, canvasState({ ...(scenes.demo?.canvas as object), open: openBlock(7) }));
    expect(other.card?.nodes.map(at)).toEqual(before.card?.nodes.map(at));
  });
});

describe("what changes moves", () => {
  const grown: CanvasState = {
    ...demo,
    overview: {
      ...demo.overview,
      nodes: demo.overview.nodes.map((node) =>
        node.id === "embed" ? { ...node, title: "a much longer title" } : node,
      ),
    },
  };

  it("is nothing where only colours and words change", () => {
    const [before, after] = pair(demo, { ...demo, selection: [], scores: null });
    expect(worthMoving(before, after)).toBe(false);
  });

  it("slides from where it was to where it will be, monotonically", () => {
    const [before, after] = pair(demo, grown);
    expect(worthMoving(before, after)).toBe(true);
    const moving = after.nodes.find((node, i) => node.x !== before.nodes[i]?.x) as Scene["nodes"][0];
    const xs = [0, 0.3, 0.7, 1].map(
      (t) => blend(before, after, t).nodes.find((node) => node.id === moving.id)?.x,
    );
    expect(xs[0]).toBeCloseTo(before.nodes.find((node) => node.id === moving.id)?.x ?? 0);
    expect(xs[3]).toBeCloseTo(moving.x);
    const steps = xs.slice(1).map((x, i) => Math.sign((x ?? 0) - (xs[i] ?? 0)));
    expect(new Set(steps).size).toBe(1);
  });

  it("fades in when it comes and out when it goes, cells and the opened block too", () => {
    const [before, after] = pair(demo, { ...overviewWithout("norm"), open: null });
    const half = blend(before, after, 0.25);
    expect(half.nodes.find((node) => node.id === "norm")?.alpha).toBeCloseTo(0.75);
    expect(half.card?.alpha).toBeCloseTo(0.75);
    expect(blend(after, before, 0.25).card?.alpha).toBeCloseTo(0.25);
    const fewer = {
      ...demo,
      overview: {
        ...demo.overview,
        nodes: demo.overview.nodes.map((node) => ({ ...node, cells: node.cells.slice(0, 9) })),
      },
    };
    const [ten, nine] = pair(demo, fewer);
    const cells = blend(ten, nine, 0.5).nodes.flatMap((node) => node.cells);
    expect(cells.filter((item) => item.alpha !== undefined).map((item) => item.cell.path)).toEqual([
      "model.layers.9",
    ]);
  });

  it("is told by its origin: the block that was cut fades, and those behind it close up", () => {
    const strip = (origins: string[]): CanvasState => ({
      ...demo,
      overview: {
        ...demo.overview,
        nodes: demo.overview.nodes.map((node) => ({
          ...node,
          cells: node.cells.length
            ? origins.map((origin, i) => ({ ...(node.cells[0] as Cell), origin, path: layer(i) }))
            : [],
        })),
      },
    });
    const [before, after] = pair(strip(["a", "b", "c", "d"]), strip(["a", "c", "d"]));
    const cells = (scene: Scene) => scene.nodes.flatMap((node) => node.cells);
    const half = cells(blend(before, after, 0.5));
    expect(half.filter((item) => item.alpha === 0.5).map((item) => item.cell.origin)).toEqual(["b"]);
    const x = (scene: Scene, i: number) => cells(scene)[i]?.x ?? 0;
    expect(half[1]?.x).toBeCloseTo((x(before, 2) + x(after, 1)) / 2);
    expect(half[0]?.x).toBe(x(before, 0));
  });

  it("goes on from where it is when the next state arrives", () => {
    const [before, after] = pair(demo, overviewWithout("norm"));
    const half = blend(after, before, 0.4);
    const on = blend(half, before, 0);
    expect(on.nodes.find((node) => node.id === "norm")?.alpha).toBeCloseTo(0.4);
  });

  it("does not when thousands do", () => {
    const crowded = (count: number) =>
      canvasState(crowd(scenes.demo as DevScene, "net", count).canvas as object);
    const [before, after] = pair(crowded(2000), crowded(900));
    expect(worthMoving(before, after)).toBe(false);
  });

  it("starts at once and lands softly", () => {
    expect([ease(-1), ease(0), ease(1), ease(5)]).toEqual([0, 0, 1, 1]);
    expect(ease(0.5)).toBeGreaterThan(0.5);
  });
});

describe("zooming to what is selected", () => {
  it("brings it to the middle, whole, and not too large", () => {
    const small = { x: 100, y: 50, w: 40, h: 30 };
    const { k, x, y } = closeUp(small, 800, 600);
    expect(k).toBe(1.6);
    expect((small.x + 20) * k + x).toBeCloseTo(400);
    expect((small.y + 15) * k + y).toBeGreaterThan(200);
    const wide = closeUp({ x: 0, y: 0, w: 5000, h: 30 }, 800, 600);
    expect(5000 * wide.k).toBeLessThan(756);
  });
});

describe("ties that come and go", () => {
  const scene = layoutScene(demo, measure, new Map()) as Scene;
  const [all, fewer] = [threadsOf(demo.ties, scene), threadsOf(demo.ties.slice(0, 2), scene)];
  const third = (threads: readonly Thread[]) => threads.find((thread) => thread.index === 3);
  const bulge = (thread?: Thread) => Math.abs(thread?.arcs[0]?.bulge ?? 0);

  it("fade in and rise, or sink and fade out, while the others stay as they are", () => {
    const steps = [0.1, 0.5, 0.9].map((t) => third(blendThreads(fewer, all, t)));
    expect(steps.map((thread) => thread?.alpha)).toEqual([0.1, 0.5, 0.9]);
    expect(bulge(steps[0])).toBeLessThan(bulge(steps[1]));
    expect(bulge(steps[2])).toBeLessThan(bulge(third(all)));
    expect(third(blendThreads(all, fewer, 0.25))?.alpha).toBeCloseTo(0.75);
    const still = blendThreads(all, fewer, 0.25).filter((thread) => thread.alpha === undefined);
    expect(still.map((thread) => thread.arcs)).toMatchObject(
      fewer.map((thread) =>
        thread.arcs.map(({ from: { x, y }, bulge: deep }) => ({ from: { x, y }, bulge: deep })),
      ),
    );
  });

  it("are the same when they are called otherwise or no longer only pending", () => {
    const ties = demo.ties.map((tie) => ({ ...tie, index: tie.index + 1, pending: false }));
    const [, second] = blendThreads(all, threadsOf(ties, scene), 0.5);
    expect([second?.alpha, second?.index, second?.pending]).toEqual([undefined, 3, false]);
  });

  it("slide with what they tie", () => {
    const moved = all.map((thread) => ({
      ...thread,
      ends: thread.ends.map(({ x, y }) => ({ x: x + 40, y })),
    }));
    const half = blendThreads(all, moved, 0.5);
    expect(half[0]?.ends[0]?.x).toBeCloseTo((all[0]?.ends[0]?.x ?? 0) + 20);
  });

  it("go on from where they are when the next state arrives", () => {
    const half = blendThreads(fewer, all, 0.4);
    expect(third(blendThreads(half, all, 0))?.alpha).toBeCloseTo(0.4);
    expect(third(blendThreads(half, fewer, 0.5))?.alpha).toBeCloseTo(0.2);
  });

  it("are worth it alone, but not by hundreds", () => {
    expect([worthFading(all, all), worthFading(all, fewer)]).toEqual([false, true]);
    const crowd = Array.from({ length: 400 }, (_, i) => ({ ...(all[0] as Thread), key: String(i) }));
    expect(worthFading(all, crowd)).toBe(false);
  });

  describe("in the picture", () => {
    afterEach(() => vi.unstubAllGlobals());
    const [from, to] = [
      { scene, threads: fewer },
      { scene, threads: all },
    ];

    it("begin where they were and end as they are to be", () => {
      const motion = new Motion();
      motion.begin(from, to, 1000);
      expect(third(motion.shown(to, 1000).threads)?.alpha).toBe(0);
      expect(motion.shown(to, 1000 + GLIDE_MS)).toBe(to);
      expect(motion.isRunning).toBe(false);
    });

    it("change at once where motion is not wanted", () => {
      vi.stubGlobal("matchMedia", () => ({ matches: true }));
      const motion = new Motion();
      motion.begin(from, to, 1000);
      expect(motion.shown(to, 1000)).toBe(to);
    });
  });
});
