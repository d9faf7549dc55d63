import { beforeEach, describe, expect, it } from "vitest";
import { advised, alike } from "../dev/scenes/advised";
import report from "../src/report";
import { part, told } from "../src/report/matrix";
import { type Matrix, reportState } from "../src/report/protocol";
import { button, find, labelled, mount, settle } from "./stub";

beforeEach(() => document.body.replaceChildren());
const matrix = reportState(alike.report).matrix as Matrix;

describe("advice", () => {
  it("asks whom is chosen, and again", () => {
    const { el, model } = mount(report, advised.report);
    const who = labelled<HTMLSelectElement>(el, "Adviser");
    who.value = "snip";
    who.dispatchEvent(new Event("change", { bubbles: true }));
    button(el, "Ask again").click();
    expect(model.sent).toEqual([
      { type: "adviser", name: "snip" },
      { type: "measure", what: "advice" },
    ]);
  });
  it("ranks places, each with the step that it would be", () => {
    const { el, model } = mount(report, advised.report);
    const lines = [...el.querySelectorAll(".ms-ranking li")].map((line) => line.textContent);
    expect(lines[0]).toBe("model.layers.10.061Remove");
    expect(el.querySelectorAll(".ms-bar")).toHaveLength(10);
    find(el, ".ms-ranking li > button").click();
    labelled(el, "Remove model.layers.1").click();
    expect(model.sent).toEqual([
      { type: "select", paths: ["model.layers.1"], mode: "set" },
      { type: "act", operation: "remove", paths: ["model.layers.1"] },
    ]);
  });
  it("says what an adviser says before it is asked", () => {
    const advice = { value: "snip", choices: [], about: "How much the loss hangs on it.", best: [] };
    const { el } = mount(report, { tab: "advice", advice, ask: { what: "advice", title: "Ask for SNIP" } });
    expect(el.textContent).toContain("How much the loss hangs on it.");
    expect(button(el, "Ask for SNIP")).toBeTruthy();
  });
});

describe("a heat map", () => {
  it("reads a cell by its two places", () => {
    expect(told(matrix, [4, 5])).toBe("model.layers.4 and model.layers.5: 0.8869");
    expect(told(matrix, [9, 2])).toBe("model.layers.9 and model.layers.2: not comparable");
    expect(told(matrix, [3, 3])).toBe("model.layers.3");
  });
  it("goes from the least pair to the most, without the diagonal and what is no number", () => {
    expect(part(matrix, 0, 1)).toBe(1);
    expect(part(matrix, 0, 9)).toBe(0);
    expect(part(matrix, 3, 3)).toBeNull();
    expect(part(matrix, 9, 2)).toBeNull();
  });
  it("selects both places of the cell that is pressed, and says what is under the pointer", async () => {
    const { el, model } = mount(report, alike.report);
    const canvas = find<HTMLCanvasElement>(el, "canvas");
    canvas.getBoundingClientRect = () => new DOMRect(0, 0, 100, 100);
    const at = { clientX: 55, clientY: 25, bubbles: true };
    canvas.dispatchEvent(new MouseEvent("mousemove", at));
    await settle();
    expect(find(el, ".ms-heat-at").textContent).toBe(told(matrix, [2, 5]));
    canvas.dispatchEvent(new MouseEvent("click", at));
    expect(model.sent.at(-1)).toEqual({
      type: "select",
      paths: ["model.layers.2", "model.layers.5"],
      mode: "set",
    });
  });
});
