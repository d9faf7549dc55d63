import { describe, expect, it } from "vitest";
import { scenes } from "../dev/scenes";
import { fittedHead } from "../src/canvas/draw/pen";
import { bundled } from "../src/canvas/layout/bundles";
import { curve, runsOver, wireLine } from "../src/canvas/layout/clear";
import { laneBetween, type Port } from "../src/canvas/layout/lanes";
import { layoutScene } from "../src/canvas/layout/layout";
import { type Thread, threadsOf } from "../src/canvas/layout/threads";
import { type CanvasState, canvasState } from "../src/canvas/protocol";
import { type Box, bottom, centreX, type Point, right, type Scene } from "../src/canvas/scene";

const measure = (text: string) => text.length * 6.5;
const lay = (state: CanvasState) => layoutScene(state, measure, new Map()) as Scene;
const stateOf = (name: string) => canvasState(scenes[name]?.canvas);
/** The same with no residual wire drawn as a curve: they are elbows. */
const lineOf = (edge: Scene["edges"][0]) => (edge.residual ? edge.points : wireLine(edge.points));
const lines = ({ arcs }: Thread): Point[][] =>
  arcs.map(({ from, to, bulge, via }) =>
    via.length > 0
      ? [from, ...via, to]
      : curve(from, { x: from.x, y: from.y + bulge }, { x: to.x, y: to.y + bulge }, to),
  );
/** Without what has no width, and without the border, on which a line may end. */
const insides = (nodes: Scene["nodes"]): Box[] =>
  nodes
    .filter((node) => node.w > 1)
    .map(({ x, y, w, h }) => ({ x: x + 1.5, y: y + 1.5, w: w - 3, h: h - 3 }));

describe.each(Object.keys(scenes))("in the scene %s", (name) => {
  const state = stateOf(name);
  const scene = lay(state);
  const nodes = [...scene.nodes, ...(scene.card?.nodes ?? [])];

  it("no thread runs over a card", () => {
    const threads = threadsOf(state.ties, scene);
    const over = threads.filter((thread) => lines(thread).some((line) => runsOver(line, insides(nodes))));
    expect(over.map((thread) => thread.index)).toEqual([]);
  });

  it("no wire runs over a card", () => {
    for (const [edges, around] of [
      [scene.edges, scene.nodes],
      [scene.card?.edges ?? [], scene.card?.nodes ?? []],
    ] as const) {
      const over = edges.filter((edge) => runsOver(lineOf(edge), insides([...around])));
      expect(over.map((edge) => `${edge.source} ${edge.target}`)).toEqual([]);
    }
  });
});

describe("threads in lanes", () => {
  const state = stateOf("encoderDecoder");
  const scene = lay(state);
  const threads = threadsOf(state.ties, scene);
  const [three, positions] = threads as [Thread, Thread];

  it("leave and reach their cards upright, and turn at right angles", () => {
    for (const thread of threads) {
      for (const { from, to, via } of thread.arcs.filter((arc) => arc.via.length > 0)) {
        const way = [from, ...via, to];
        expect([way[1]?.x, way.at(-2)?.x]).toEqual([from.x, to.x]);
        for (let i = 1; i < way.length; i++) {
          const [a, b] = [way[i - 1] as Point, way[i] as Point];
          expect(a.x === b.x || a.y === b.y).toBe(true);
        }
      }
    }
    expect(threads.some((thread) => thread.arcs.some((arc) => arc.via.length > 0))).toBe(true);
  });

  it("have an end at each card, on its border, with the path that hangs there", () => {
    expect(three.paths).toEqual(["encoder.embed_tokens", "decoder.embed_tokens", "lm_head"]);
    three.ends.forEach((end, i) => {
      const node = scene.nodes.find((item) => item.path === three.paths[i]) as Box;
      expect(end.x).toBeCloseTo(centreX(node));
      expect([node.y, bottom(node)]).toContain(end.y);
    });
    expect(three.arcs.map((arc) => arc.to)).toMatchObject(three.ends.slice(1).map(({ x, y }) => ({ x, y })));
  });

  it("lie beside each other where they take the same lane", () => {
    const upright = (thread: Thread) =>
      lines(thread).flatMap((line) =>
        line.filter((at, i) => i > 0 && at.x === line[i - 1]?.x).map((at) => at.x),
      );
    const own = new Set(upright(three).map(Math.round));
    const ends = new Set([...three.ends, ...positions.ends].map((end) => Math.round(end.x)));
    const shared = upright(positions).filter((x) => own.has(Math.round(x)) && !ends.has(Math.round(x)));
    expect(shared).toEqual([]);
  });

  it("stay where they are when only the selection changes", () => {
    const again = threadsOf(state.ties, lay({ ...state, selection: ["lm_head"] }));
    expect(again).toEqual(threads);
  });

  it("are bundled like arcs, along the way of one of them", () => {
    const many = Array.from({ length: 5 }, (_, i) => ({ ...three, index: i, arcs: three.arcs.slice(0, 1) }));
    const [one, ...rest] = bundled(many, 1);
    expect([one?.count, rest.length]).toEqual([5, 0]);
    expect(one?.arcs[0]?.via).toEqual(three.arcs[0]?.via);
  });
});

describe("a lane", () => {
  const box = { x: 0, y: 0, w: 100, h: 40 };
  const port = (x: number, y: number, side: 1 | -1): Port => ({ x, y, side });

  it("goes round what lies between", () => {
    const between = { x: -20, y: 70, w: 140, h: 40 };
    const below = { x: 0, y: 140, w: 100, h: 40 };
    const lane = laneBetween([port(50, 40, 1)], [port(50, 140, -1)], [box, between, below], 7);
    const xs = lane?.via.map((at) => at.x) ?? [];
    expect(xs.every((x) => x === 50 || x < between.x || x > right(between))).toBe(true);
    expect(xs.length).toBe(4);
  });

  it("takes the port from which the way is shorter", () => {
    const there = { x: 300, y: 0, w: 100, h: 40 };
    const ports = (x: number) => [port(x, 0, -1), port(x, 40, 1)];
    const wall = { x: 140, y: -200, w: 60, h: 230 };
    expect(laneBetween(ports(50), ports(350), [box, there, wall], 7)).toMatchObject({
      from: { side: 1 },
      to: { side: 1 },
    });
  });

  it("is none where its end is walled in, or where nobody could follow it", () => {
    const wall = { x: -200, y: 44, w: 500, h: 60 };
    expect(laneBetween([port(50, 40, 1)], [port(50, 0, -1)], [box, wall], 7)).toBeNull();
    const crowd = Array.from({ length: 200 }, (_, i) => ({ x: 200 * i, y: 500, w: 100, h: 40 }));
    expect(laneBetween([port(50, 40, 1)], [port(50, 0, -1)], crowd, 7)).toBeNull();
  });
});

describe("a wire", () => {
  it("goes round a node in its way, and round the next that this way meets", () => {
    const state = stateOf("towers");
    const scene = lay(state);
    const bent = scene.edges.filter((edge) => !edge.residual && edge.points.length > 2);
    expect(bent.length).toBeGreaterThan(0);
  });
});

describe("a strip's name", () => {
  it("gives way to what the strip gives", () => {
    expect(fittedHead("vision_encoder.layers · 8 × 8", "", 100, measure)).toBe("…layers · 8 × 8");
    expect(fittedHead("layers · 8 × 8", "", 100, measure)).toBe("layers · 8 × 8");
    expect(fittedHead("vision_encoder.layers", "", 70, measure)).toBe("…layers");
    expect(fittedHead("stages.0.blocks", "", 80, measure)).toBe("…0.blocks");
  });
});

describe("what runs over what", () => {
  const box = { x: 10, y: 10, w: 20, h: 20 };
  const line = (...at: [number, number][]) => at.map(([x, y]) => ({ x, y }));

  it("is told for pieces that cross, that end inside, and that pass by", () => {
    expect(runsOver(line([0, 20], [50, 20]), [box])).toBe(true);
    expect(runsOver(line([0, 0], [20, 20]), [box])).toBe(true);
    expect(runsOver(line([0, 0], [50, 5]), [box])).toBe(false);
    expect(runsOver(line([0, 35], [35, 0]), [box])).toBe(true);
    expect(runsOver(line([0, 20], [10, 50]), [box])).toBe(false);
  });

  it("leaves the border free where the slack is negative, and keeps away where it is not", () => {
    const along = line([0, 10], [50, 10]);
    expect(runsOver(along, [box], -1)).toBe(false);
    expect(runsOver(along, [box], 1)).toBe(true);
  });
});

describe("among very many nodes", () => {
  it("threads are arcs, and nothing is looked for", () => {
    const [card] = stateOf("demo").overview.nodes.filter((node) => node.kind === "card");
    const nodes = Array.from({ length: 200 }, (_, i) => ({ ...card, id: `n${i}`, path: `n${i}` }));
    const state = canvasState({ overview: { nodes } });
    const [thread] = threadsOf([{ index: 1, ends: ["n0", "n1", "n99"], pending: false }], lay(state));
    expect(thread?.arcs.every((arc) => arc.via.length === 0)).toBe(true);
  });
});
