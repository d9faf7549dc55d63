import { describe, expect, it } from "vitest";
import { moveFor } from "../src/outline/navigate";
import { outlineState } from "../src/outline/protocol";
import { ancestors, rangeOf, reveal, visibleRows, windowOf } from "../src/outline/tree";

const row = (path: string, depth: number, expandable = false) => ({
  path,
  title: path.split(".").at(-1),
  depth,
  expandable,
});
const { rows } = outlineState({
  rows: [
    row("model", 0, true),
    row("model.embed", 1),
    row("model.layers", 1, true),
    row("model.layers.0", 2, true),
    row("model.layers.0.mlp", 3, true),
    row("model.layers.0.mlp.up", 4),
    row("model.layers.1", 2, true),
    row("model.layers.1.mlp", 3),
    row("head", 0),
  ],
});
const paths = (folds: ReadonlyMap<string, boolean>) => visibleRows(rows, folds).map((item) => item.row.path);
const key = (name: string, more = {}) => ({
  key: name,
  ctrlKey: false,
  metaKey: false,
  shiftKey: false,
  ...more,
});

describe("the outline", () => {
  it("folds the blocks of a list at first and shows the containers", () => {
    expect(paths(new Map())).toEqual([
      "model",
      "model.embed",
      "model.layers",
      "model.layers.0",
      "model.layers.1",
      "head",
    ]);
  });

  it("remembers what was opened below a fold", () => {
    const folds = new Map([
      ["model.layers.0", true],
      ["model.layers.0.mlp", true],
      ["model.layers", false],
    ]);
    expect(paths(folds)).toEqual(["model", "model.embed", "model.layers", "head"]);
    expect(paths(new Map(folds).set("model.layers", true))).toContain("model.layers.0.mlp.up");
  });

  it("numbers siblings for screen readers", () => {
    const visible = visibleRows(rows, new Map());
    expect(visible.map((item) => [item.position, item.siblings])).toEqual([
      [1, 2],
      [1, 2],
      [2, 2],
      [1, 2],
      [2, 2],
      [2, 2],
    ]);
  });

  it("opens the ancestors of a path, and only those", () => {
    expect(ancestors(rows, 5)).toEqual(["model.layers.0.mlp", "model.layers.0", "model.layers", "model"]);
    const folds = reveal(rows, new Map(), ["model.layers.0.mlp.up"]);
    expect([...folds.keys()].sort()).toEqual(["model.layers.0", "model.layers.0.mlp"]);
    expect(reveal(rows, folds, ["model.embed"])).toBe(folds);
  });

  it("takes a range in either direction", () => {
    const visible = visibleRows(rows, new Map());
    const range = ["model.layers", "model.layers.0", "model.layers.1"];
    expect(rangeOf(visible, "model.layers", "model.layers.1")).toEqual(range);
    expect(rangeOf(visible, "model.layers.1", "model.layers")).toEqual(range);
    expect(rangeOf(visible, "gone", "head")).toEqual(["head"]);
  });

  it("draws a few rows of many thousand", () => {
    const window = windowOf(48_000, 600, 24, 4000);
    expect(window.first).toBeLessThanOrEqual(2000);
    expect(window.last - window.first).toBeLessThan(60);
    expect(windowOf(0, 600, 24, 3)).toEqual({ first: 0, last: 3 });
  });

  it("lays out four thousand rows quickly", () => {
    const many = outlineState({
      rows: Array.from({ length: 4000 }, (_, i) => row(`m.${i}`, i % 3, i % 3 < 2)),
    });
    const start = performance.now();
    visibleRows(many.rows, new Map(many.rows.map((item) => [item.path, true])));
    expect(performance.now() - start).toBeLessThan(100);
  });
});

describe("keys in the outline", () => {
  const visible = visibleRows(rows, new Map());

  it("moves with the arrows and stops at the ends", () => {
    expect(moveFor(key("ArrowDown"), visible, "model")).toMatchObject({ kind: "focus", path: "model.embed" });
    expect(moveFor(key("ArrowUp"), visible, "model")).toMatchObject({ path: "model" });
    expect(moveFor(key("End"), visible, "model")).toMatchObject({ path: "head" });
    expect(moveFor(key("Home"), visible, "head")).toMatchObject({ path: "model" });
  });

  it("unfolds, then steps in; folds, then steps out", () => {
    expect(moveFor(key("ArrowRight"), visible, "model.layers.0")).toEqual({
      kind: "fold",
      path: "model.layers.0",
      open: true,
    });
    expect(moveFor(key("ArrowRight"), visible, "model.layers")).toMatchObject({ path: "model.layers.0" });
    expect(moveFor(key("ArrowLeft"), visible, "model.layers")).toMatchObject({ kind: "fold", open: false });
    expect(moveFor(key("ArrowLeft"), visible, "model.layers.1")).toMatchObject({ path: "model.layers" });
  });

  it("selects with Space, opens with Enter, leaves letters alone", () => {
    expect(moveFor(key(" ", { ctrlKey: true }), visible, "head")).toEqual({
      kind: "select",
      path: "head",
      toggle: true,
    });
    expect(moveFor(key("Enter"), visible, "head")).toEqual({ kind: "open", path: "head" });
    expect(moveFor(key("t"), visible, "head")).toBeNull();
  });
});
