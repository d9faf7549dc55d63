import { describe, expect, it } from "vitest";
import { canvasState } from "../src/canvas/protocol";
import { inspectorState } from "../src/inspector/protocol";
import { outlineState } from "../src/outline/protocol";
import { topbarState } from "../src/topbar/protocol";

describe("reading a state", () => {
  it("makes a whole state out of nothing at all", () => {
    for (const nothing of [undefined, null, {}, [], "text", 3]) {
      expect(topbarState(nothing)).toMatchObject({ name: "", figures: [], evaluating: null, budget_s: 2 });
      expect(canvasState(nothing)).toMatchObject({
        overview: { nodes: [], edges: [] },
        open: null,
        ties: [],
      });
      expect(inspectorState(nothing)).toMatchObject({ groups: [], form: null, dry_run: null });
    }
  });

  it("keeps what is known and leaves out what is not", () => {
    const state = outlineState({
      rows: [{ path: "a", depth: 1, mark: "remove", extra: 1 }, null],
      unknown: true,
    });
    expect(state.rows).toEqual([
      {
        path: "a",
        title: "",
        class_name: "",
        depth: 1,
        figure: "",
        ties: [],
        expandable: false,
        mark: "remove",
      },
    ]);
    expect(state).not.toHaveProperty("unknown");
  });

  it("reads a word that it does not know as the first one, or as null", () => {
    const state = topbarState({ figures: [{ label: "Size", tone: "splendid" }] });
    expect(state.figures[0]?.tone).toBe("none");
    expect(outlineState({ rows: [{ path: "a", mark: "?" }] }).rows[0]?.mark).toBeNull();
  });

  it("does not take a number that is none", () => {
    expect(topbarState({ budget_s: "soon" }).budget_s).toBe(2);
    expect(canvasState({ scores: { a: Number.NaN, b: 0.5 } }).scores).toEqual(
      new Map([
        ["a", 0],
        ["b", 0.5],
      ]),
    );
  });
});
