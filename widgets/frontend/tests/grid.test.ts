import { describe, expect, it } from "vitest";
import { detailOf } from "../src/canvas/draw/look";
import { look, makeSeen } from "../src/canvas/draw/seen";
import { Grid } from "../src/canvas/grid";
import { bundled } from "../src/canvas/layout/bundles";
import type { Thread } from "../src/canvas/layout/threads";
import { type Box, contains, overlaps, type Scene } from "../src/canvas/scene";
import { cellAt } from "../src/canvas/scene_index";

/** The same boxes every time: small ones, and some that run across everything. */
const boxes: Box[] = Array.from({ length: 3000 }, (_, i) => ({
  x: ((i * 7919) % 9000) - 1000,
  y: ((i * 104_729) % 5000) - 500,
  w: i % 100 === 0 ? 4000 : 20 + (i % 50),
  h: 10 + (i % 30),
}));
const grid = new Grid(boxes, (box) => box);

describe("the grid", () => {
  it("finds in a box what looking at each would find, and each once", () => {
    for (const box of [
      { x: 100, y: 100, w: 800, h: 500 },
      { x: -5000, y: -5000, w: 50_000, h: 50_000 },
      { x: 20_000, y: 0, w: 10, h: 10 },
    ]) {
      const found = grid.within(box, []);
      expect(new Set(found)).toEqual(new Set(boxes.filter((item) => overlaps(item, box))));
      expect(found.length).toBe(new Set(found).size);
    }
  });

  it("finds at a point the first of those that hold it, or near it, or none", () => {
    for (let i = 0; i < 200; i++) {
      const point = { x: (i * 613) % 8000, y: (i * 331) % 4000 };
      expect(grid.at(point, 2)).toBe(boxes.find((item) => contains(item, point, 2)) ?? null);
    }
  });

  it("finds a strip's cell by its place", () => {
    const cells = Array.from({ length: 80 }, (_, i) => ({ x: i * 9, y: 0, w: 7, h: 38 }));
    const items = cells.map((box) => ({ ...box, cell: { path: String(box.x) } }));
    const at = (x: number) => cellAt(items as never, x, 0)?.x;
    expect([at(0), at(5), at(8), at(9 * 79 + 3), at(9 * 80), at(-3)]).toEqual([
      0,
      0,
      undefined,
      711,
      undefined,
      undefined,
    ]);
    expect(cellAt([], 3, 0)).toBeNull();
  });
});

describe("what a frame draws", () => {
  const node = (box: Box) => ({ ...box, cells: [], path: "", id: `${box.x}` }) as never;
  const scene: Scene = { nodes: boxes.map(node), edges: [], card: null, bounds: { x: 0, y: 0, w: 1, h: 1 } };

  it("is what is in view", () => {
    const seen = makeSeen();
    look(scene, { x: 0, y: 0, w: 500, h: 300 }, seen);
    expect(seen.nodes.length).toBeGreaterThan(0);
    expect(seen.nodes.length).toBeLessThan(200);
    expect(seen.nodes.every((item) => overlaps(item, { x: -24, y: -24, w: 548, h: 348 }))).toBe(true);
  });

  it("has texts near by, outlines further off, and blocks of colour from afar or for thousands", () => {
    expect([detailOf(1, 100), detailOf(0.3, 100), detailOf(0.1, 100)]).toEqual(["near", "plain", "far"]);
    expect([detailOf(1, 1000), detailOf(1, 5000)]).toEqual(["plain", "far"]);
  });
});

describe("bundles of threads", () => {
  const thread = (index: number, from: number, to: number, more: Partial<Thread> = {}): Thread => {
    const ends = [
      { x: from, y: 0 },
      { x: to, y: 0 },
    ];
    const arcs = [{ from: ends[0], to: ends[1], bulge: 20, via: [] }] as Thread["arcs"];
    const colour = index % 2 ? "#111111" : "#222222";
    const glyph = { x: (from + to) / 2, y: 15 };
    const rest = { pending: false, count: 1, reach: [], side: 1 as const, paths: ["a", "b"], word: null };
    return { key: String(index), index, colour, ends, arcs, glyph, ...rest, ...more };
  };
  const threads = Array.from({ length: 12 }, (_, i) => thread(i + 1, 10 + i, 3010 + i));

  it("stand for threads between the same neighbourhoods, with their count, only from afar", () => {
    const far = bundled(threads, 0.1);
    expect(far.map((item) => [item.count, item.colour])).toEqual([[12, null]]);
    expect(bundled(threads, 4).every((item) => item.count < 12)).toBe(true);
  });

  it("take in wider neighbourhoods while there are more than the eye can follow", () => {
    const spread = Array.from({ length: 40 }, (_, i) => thread(i + 1, 9 * i, 1000 + 9 * i));
    const drawn = bundled(spread, 0.55);
    expect(drawn.length).toBeLessThan(10);
    expect(drawn.reduce((sum, item) => sum + item.count, 0)).toBe(40);
    const [widest] = drawn.sort((a, b) => b.count - a.count);
    expect((widest?.reach[0]?.to ?? 0) - (widest?.reach[0]?.from ?? 0)).toBeGreaterThan(50);
    const short = Array.from({ length: 40 }, (_, i) => thread(i + 1, 90 * i, 90 * i + 60));
    const spans = bundled([...spread, ...short], 0.55).map(
      (item) => (item.ends[1]?.x ?? 0) - (item.ends[0]?.x ?? 0),
    );
    expect(spans.filter((span) => span === 60)).toHaveLength(40);
  });

  it("leave alone what is pending, and few threads", () => {
    const few = [thread(1, 0, 500), thread(2, 3000, 4000)];
    expect(bundled(few, 0.1).map((item) => item.count)).toEqual([1, 1]);
    const pending = threads.map((item) => ({ ...item, pending: true }));
    expect(bundled(pending, 0.1)).toHaveLength(12);
  });

  it("are never more than a frame can bear, the widest kept", () => {
    const many = Array.from({ length: 5000 }, (_, i) => thread(i, i * 40, i * 40 + 30 + i));
    const drawn = bundled(many, 1);
    expect(drawn.length).toBeLessThanOrEqual(160);
    const spans = drawn.map((item) => (item.ends[1]?.x ?? 0) - (item.ends[0]?.x ?? 0));
    expect(Math.max(...spans)).toBeGreaterThan(4500);
  });
});
