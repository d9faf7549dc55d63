import { describe, expect, it } from "vitest";
import { openBlock } from "../dev/blocks";
import { scenes } from "../dev/scenes";
import { labelled } from "../src/canvas/draw/cells";
import { mapScale } from "../src/canvas/draw/minimap";
import { fitted, readable } from "../src/canvas/draw/pen";
import { between, hitTest, neighbour, pathsIn } from "../src/canvas/gestures/hit";
import { fitTransform, MARGIN, nudge } from "../src/canvas/layout/fit";
import { cellPitch, layoutScene, type Widths } from "../src/canvas/layout/layout";
import { heldStill } from "../src/canvas/layout/still";
import { threadsOf } from "../src/canvas/layout/threads";
import { canvasState, type OverviewNode } from "../src/canvas/protocol";
import {
  type Box,
  bottom,
  centreX,
  centreY,
  contains,
  overlaps,
  right,
  type Scene,
  selectableBox,
} from "../src/canvas/scene";

const measure = (text: string) => text.length * 6.5;
const demo = canvasState(scenes.demo?.canvas);
const many = canvasState(scenes.many?.canvas);
const lay = (state = demo, widths: Widths = new Map()) => layoutScene(state, measure, widths) as Scene;

describe("layout", () => {
  it("puts the overview in a row, with no node on another", () => {
    for (const state of [demo, many]) {
      const { nodes } = lay(state);
      const clash = nodes.some((a, i) => nodes.slice(i + 1).some((b) => overlaps(a, b)));
      expect(clash).toBe(false);
      expect(nodes.map((node) => node.x)).toEqual(nodes.map((node) => node.x).sort((a, b) => a - b));
    }
  });

  it("keeps every cell inside its strip, for ten blocks and for eighty", () => {
    for (const state of [demo, many]) {
      for (const strip of lay(state).nodes.filter((node) => node.cells.length > 0)) {
        const corners = strip.cells.flatMap((cell) => [cell, { x: right(cell), y: bottom(cell) }]);
        expect(corners.every((corner) => contains(strip, corner))).toBe(true);
      }
    }
    expect(cellPitch(10)).toBeGreaterThan(cellPitch(80));
    expect(80 * cellPitch(80)).toBeLessThan(800);
  });

  it("hangs the opened block under the overview, nodes inside, siblings in the order of the code", () => {
    const { card, nodes } = lay();
    if (!card) throw new Error("no card");
    expect(card.y).toBeGreaterThan(Math.max(...nodes.map(bottom)));
    expect(card.nodes.every((node) => contains(card, { x: centreX(node), y: centreY(node) }, 1))).toBe(true);
    const y = (title: string) => card.nodes.find((node) => node.title === title)?.y ?? 0;
    expect(y("q_proj")).toBeLessThan(y("k_proj"));
    expect(y("k_proj")).toBeLessThan(y("v_proj"));
    expect(y("gate")).toBeLessThan(y("up"));
  });

  it("shows a row of experts in the opened block, each to be hit and found by its path", () => {
    const cells = ["0", "1", "2"].map((label) => {
      const path = `${demo.open?.path}.experts.${label}`;
      return { path, origin: path, label, ties: [], mark: null, adapted: false };
    });
    const open = demo.open as NonNullable<typeof demo.open>;
    const [first] = open.nodes.filter((node) => node.kind === "module");
    const nodes = open.nodes.map((node) =>
      node === first ? { ...node, kind: "strip" as const, path: "", title: "experts", cells } : node,
    );
    const scene = lay({ ...demo, open: { ...open, nodes } });
    const row = scene.card?.nodes.find((node) => node.kind === "strip");
    expect(row?.cells).toHaveLength(3);
    for (const { cell, ...box } of row?.cells ?? []) {
      expect(contains(row as Box, { x: right(box), y: bottom(box) })).toBe(true);
      expect(hitTest(scene, { x: centreX(box), y: centreY(box) })).toMatchObject({ path: cell.path });
      expect(selectableBox(scene, cell.path)).toMatchObject({ x: box.x });
    }
    const held = heldStill({ ...scene, card: null }, scene).card?.nodes.find((node) => node.id === row?.id);
    expect(contains(held as Box, { x: centreX(held?.cells[2] as Box), y: (held as Box).y })).toBe(true);
  });

  it("ties two nodes that stand one above the other in the gap between them", () => {
    const [card] = demo.overview.nodes.filter((node) => node.kind === "card");
    const nodes = ["left", "right"].map((path) => ({ ...(card as OverviewNode), id: path, path }));
    const scene = lay({ ...demo, open: null, overview: { nodes, edges: [] } });
    const [thread] = threadsOf([{ index: 1, ends: ["left", "right"], pending: false }], scene);
    const [upper, lower] = scene.nodes;
    expect(thread?.glyph?.y).toBeGreaterThan(bottom(upper as Box));
    expect(thread?.glyph?.y).toBeLessThan((lower as Box).y);
  });

  it("runs residual edges below everything that they pass", () => {
    const { card } = lay();
    const lowest = Math.max(...(card?.nodes ?? []).map(bottom));
    const lanes = (card?.edges ?? []).filter((edge) => edge.residual).map((edge) => edge.points[1]?.y ?? 0);
    expect(lanes).toHaveLength(2);
    expect(lanes.every((y) => y > lowest && y < bottom(card as Box))).toBe(true);
  });

  it("leaves nodes where they are when texts and cells get fewer", () => {
    const widths: Widths = new Map();
    const before = lay(demo, widths);
    const overview = {
      ...demo.overview,
      nodes: demo.overview.nodes.map((node) => ({ ...node, subtitle: "", cells: node.cells.slice(0, 8) })),
    };
    const after = lay({ ...demo, overview }, widths);
    expect(after.nodes.map((node) => node.x)).toEqual(before.nodes.map((node) => node.x));
  });

  it("lays the next block out exactly like the one before it", () => {
    const shape = (index: number) => {
      const card = lay(canvasState({ ...(scenes.demo?.canvas as object), open: openBlock(index) })).card;
      return card?.nodes.map((node) => [node.x - card.x, node.y - card.y, node.w]);
    };
    expect(shape(7)).toEqual(shape(3));
  });

  it("survives an empty overview, edges to nowhere and a flow of residual edges only", () => {
    expect(lay(canvasState({})).nodes).toEqual([]);
    const overview = {
      nodes: [
        { id: "a", kind: "card" },
        { id: "b", kind: "card" },
      ],
      edges: [
        { source: "a", target: "ghost" },
        { source: "a", target: "b", residual: true },
      ],
    };
    const { nodes, edges } = lay(canvasState({ overview }));
    expect([nodes.length, edges.length]).toEqual([2, 1]);
    expect(overlaps(nodes[0] as Box, nodes[1] as Box)).toBe(false);
  });
});

describe("hit testing", () => {
  const scene = lay();
  const middle = (box: Box) => ({ x: centreX(box), y: centreY(box) });
  const cell = scene.nodes[1]?.cells[5] as Box;

  it("finds cells, cards, inner nodes, fold, and nothing", () => {
    expect(hitTest(scene, middle(cell))).toMatchObject({ kind: "cell", path: "model.layers.5" });
    expect(hitTest(scene, middle(scene.nodes[0] as Box))).toMatchObject({ path: "model.embed_tokens" });
    const inner = scene.card?.nodes.find((node) => node.title === "v_proj") as Box;
    expect(hitTest(scene, middle(inner))).toMatchObject({ path: "model.layers.3.self_attn.v_proj" });
    expect(hitTest(scene, middle(scene.card?.fold as Box))?.kind).toBe("fold");
    expect(hitTest(scene, { x: -500, y: -500 })).toBeNull();
  });

  it("gathers what a box touches, cells rather than their strip", () => {
    const box = { x: cell.x + 2, y: cell.y, w: cell.w + 8, h: 10 };
    expect(pathsIn(scene, box)).toEqual(["model.layers.5", "model.layers.6"]);
  });

  it("walks along the strip, down into the opened block and back up to its cell", () => {
    expect(neighbour(scene, "model.layers.5", "right")).toBe("model.layers.6");
    expect(neighbour(scene, "model.layers.9", "right")).toBe("model.norm");
    expect(neighbour(scene, undefined, "right")).toBe("model.embed_tokens");
    const inside = neighbour(scene, "model.layers.3", "down");
    expect(inside).toContain("model.layers.3.");
    expect(neighbour(scene, "model.layers.3.input_layernorm", "up")).toBe("model.layers.3");
    expect(neighbour(scene, "model.layers.3.self_attn.q_proj", "down")).toBe(
      "model.layers.3.self_attn.k_proj",
    );
    expect(between(scene, "model.layers.4", "model.layers.2")).toHaveLength(3);
  });
});

describe("threads", () => {
  const scene = lay();

  it("go above between cards and below between cells", () => {
    const threads = threadsOf(demo.ties, scene);
    expect(threads.map((thread) => [thread.index, thread.side, thread.pending])).toEqual([
      [1, -1, false],
      [2, 1, true],
      [3, 1, false],
    ]);
  });

  it("end at the nearest module that is drawn, and only once there", () => {
    const tie = {
      index: 4,
      pending: false,
      ends: ["model.layers.2.mlp.up.weight", "model.layers.2.mlp.down.weight"],
    };
    const [thread] = threadsOf([tie], scene);
    expect(thread?.ends).toHaveLength(1);
    expect(threadsOf([{ ...tie, ends: ["elsewhere.weight"] }], scene)).toEqual([]);
  });

  it("drop numbers that would lie on each other", () => {
    const state = canvasState({ ...(scenes.many?.canvas as object) });
    const glyphs = threadsOf(state.ties, lay(state)).flatMap((thread) =>
      thread.glyph ? [thread.glyph] : [],
    );
    const near = glyphs.some((a, i) =>
      glyphs.slice(i + 1).some((b) => Math.abs(a.x - b.x) < 17 && Math.abs(a.y - b.y) < 17),
    );
    expect(near).toBe(false);
  });
});

describe("what is shown at which zoom", () => {
  it("fits all into the view, between the margins", () => {
    const bounds = { x: -50, y: 20, w: 900, h: 400 };
    const { x, y, k } = fitTransform(bounds, 800, 600);
    expect(bounds.x * k + x).toBeGreaterThanOrEqual(MARGIN.left - 0.001);
    expect((bounds.x + bounds.w) * k + x).toBeLessThanOrEqual(800 - MARGIN.right + 0.001);
    expect(bounds.y * k + y).toBeGreaterThanOrEqual(MARGIN.top - 0.001);
    expect(k).toBeLessThanOrEqual(1);
  });

  it("pans no further than it must", () => {
    expect(nudge({ x: 100, y: 100, w: 50, h: 50 }, 800, 600)).toBeNull();
    expect(nudge({ x: 900, y: 100, w: 50, h: 50 }, 800, 600)).toEqual({
      dx: 800 - MARGIN.right - 950,
      dy: 0,
    });
  });

  it("writes fewer labels on thinner cells, but always those of the selected", () => {
    expect(labelled(10, 44, [])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const thin = labelled(80, 9, [33]);
    expect(thin).toContain(33);
    expect(thin.length).toBeLessThan(25);
    expect(labelled(0, 9, [])).toEqual([]);
  });

  it("grows small texts and shortens long ones", () => {
    expect(readable("500 10.5px Sans", 1).font).toBe("500 10.5px Sans");
    expect(readable("500 10px Sans", 0.7).growth).toBeCloseTo(1.5);
    expect(fitted("post_attention_layernorm", "", 80, measure)).toBe("post_attent…");
  });

  it("maps the whole picture into the corner", () => {
    const bounds = { x: 10, y: 10, w: 2000, h: 100 };
    const { k, x } = mapScale(bounds);
    expect(bounds.w * k).toBeLessThanOrEqual(116);
    expect(bounds.x * k + x).toBeGreaterThanOrEqual(0);
  });
});
