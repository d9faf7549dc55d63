import { beforeEach, describe, expect, it, vi } from "vitest";
import { shelf } from "../dev/shelf";
import panel from "../src/shelf";
import { across, at, extent, line, readCurve, resampled, shade, stride } from "../src/shelf/curve";
import { factsOf } from "../src/shelf/facts";
import { DRAG_TYPE, type ShelfState, shelfState } from "../src/shelf/protocol";
import { button, find, labelled, mount as mountPanel, settle } from "./stub";

const mount = (state: unknown) => mountPanel(panel, state);
function type(input: HTMLInputElement | HTMLSelectElement, value: string, event = "input") {
  input.value = value;
  input.dispatchEvent(new Event(event, { bubbles: true }));
}
/** What a drag that begins at the element carries. */
function drag(element: HTMLElement) {
  const data = new Map<string, string>();
  // Preact listens for the name in lower case only where the page knows it.
  const event = new Event("ondragstart" in element ? "dragstart" : "DragStart", { bubbles: true });
  Object.assign(event, {
    dataTransfer: { setData: (type: string, text: string) => data.set(type, text) },
  });
  element.dispatchEvent(event);
  return JSON.parse(data.get(DRAG_TYPE) ?? "null");
}

beforeEach(() => document.body.replaceChildren());

describe("reading a state", () => {
  it("makes a whole state out of nothing at all", () => {
    for (const nothing of [undefined, null, {}, [], "text", 3]) {
      expect(shelfState(nothing)).toMatchObject({ rows: [], columns: [], can_step: false, own: null });
      const { el, stop } = mount(nothing);
      expect(find(el, ".ms-shelf").dataset.ready).toBe("true");
      stop();
      expect(el.childElementCount).toBe(0);
    }
  });

  it("keeps the places of figures that are not there", () => {
    const state = shelfState({ rows: [{ alias: "a", values: [0.1, null, "x", 2] }] });
    expect(state.rows[0]?.values).toEqual([0.1, null, null, 2]);
  });

  it("draws every scene, and names are text", () => {
    for (const name of ["empty", "two", "own", "adapter", "wrong", "many"]) mount(shelf(name));
    const markup = "<img src=x onerror=alert(1)>";
    const { el } = mount({ ...shelf("two"), rows: [{ alias: markup, status: "refused", text: markup }] });
    expect(el.textContent).toContain(markup);
    expect(document.querySelector("img")).toBeNull();
  });
});

describe("weights over depth", () => {
  const section = (shelf("two") as ShelfState).columns[1] as ShelfState["columns"][number];

  it("are straight between anchors, and flat where there is one", () => {
    expect([0, 0.25, 1].map((depth) => at([0, 1, 0.5], depth))).toEqual([0, 0.5, 0.5]);
    expect([at([0.3], 0), at([0.3], 1), at([0, 1], 7)]).toEqual([0.3, 0.3, 1]);
    expect(resampled([0, 1], 3)).toEqual([0, 0.5, 1]);
    expect(resampled([0.2, 0.4], 1)).toEqual([0.3]);
  });

  it("are read as typed, or not at all", () => {
    expect(readCurve("0.5")).toEqual([0.5]);
    expect(readCurve(" [0, .5 1] ")).toEqual([0, 0.5, 1]);
    for (const wrong of ["", "a", "0, b", "1e999"]) expect(readCurve(wrong)).toBeNull();
  });

  it("span more than 0 to 1 only where they go beyond", () => {
    expect(extent([0.2, 0.4])).toEqual([0, 1]);
    expect(extent([-0.5, 1.5])).toEqual([-0.5, 1.5]);
  });

  it("are drawn through the middles of the first and the last cell", () => {
    expect(across(section, 0)).toBeCloseTo(50 / 28);
    expect(across(section, 1)).toBeCloseTo(100 - 50 / 28);
    expect(line([0, 1], { ...section, labels: ["a", "b"], depths: [0, 1] })).toBe("0,100 25,100 75,0 100,0");
    expect(line([0, 1], { ...section, labels: ["norm"], depths: [1] })).toBe("0,0 100,0");
  });

  it("have an axis with no more labels than fit", () => {
    expect([stride(4, 16), stride(28, 16), stride(80, 16)]).toEqual([1, 2, 8]);
  });
});

describe("figures", () => {
  const legend = { unit: "", low: "", high: "", from: 0, to: 10, middle: null };
  it("lie between the ends of the legend, logarithmic where that is said", () => {
    expect([shade(0, legend), shade(5, legend), shade(10, legend)]).toEqual([0, 0.5, 1]);
    expect(shade(1, { ...legend, middle: 0.1 })).toBeGreaterThan(0.5);
    expect(shade(10, { ...legend, middle: 0.1 })).toBe(1);
    expect(shade(3, { ...legend, to: 0 })).toBe(0);
  });

  it("are said in words", () => {
    const known = { figure: "moved", value: 0.03417, gap: undefined, touched: undefined, weight: 0.5 };
    expect(factsOf(known)).toBe("distance 3.42 %, weight 0.5");
    expect(factsOf({ ...known, figure: "cosine", value: -0.2, weight: null })).toBe("cosine −0.20");
    expect(factsOf({ ...known, gap: "lacks it." })).toBe("lacks it.");
  });
});

describe("the shelf", () => {
  it("adds a parent, and empties the form once it was taken", async () => {
    const { el, model } = mount(shelf("empty"));
    const source = find<HTMLInputElement>(el, ".ms-shelf-add .ms-mono");
    expect(button(el, "Add").disabled).toBe(true);
    type(source, "/models/maths");
    type(labelled(el, "Name of the parent"), "maths");
    await settle();
    find(el, "form").dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
    expect(model.sent).toEqual([{ type: "add", source: "/models/maths", alias: "maths" }]);
    model.set({ ...shelf("empty"), form: { added: 0, error: { text: "maths: taken.", hint: null } } });
    await settle();
    expect(source.value).toBe("/models/maths");
    expect(source.getAttribute("aria-invalid")).toBe("true");
    model.set({ ...shelf("two"), form: { added: 1, error: null } });
    await settle();
    expect(find(el, ".ms-shelf-add")).toBeNull();
    button(el, "+ Add a parent").click();
    await settle();
    expect(find<HTMLInputElement>(el, ".ms-shelf-add .ms-mono").value).toBe("");
  });

  it("sends a weight a moment after it was set, and shows it at once", async () => {
    const { el, model } = mount(shelf("two"));
    await settle();
    vi.useFakeTimers();
    type(labelled(el, "Weight of maths"), "0.8");
    type(labelled(el, "Weight of maths"), "0.7");
    vi.advanceTimersByTime(300);
    vi.useRealTimers();
    await settle();
    expect(model.sent).toEqual([{ type: "weight", alias: "maths", values: [0.7] }]);
    expect(labelled<HTMLInputElement>(el, "Weight of maths: a number, or several over depth").value).toBe(
      "0.7",
    );
  });

  it("has a slider for each anchor, and adds and takes away anchors", async () => {
    const { el, model } = mount(shelf("two"));
    await settle();
    vi.useFakeTimers();
    type(labelled(el, "code: weight at 50 % of the depth"), "0.9");
    vi.advanceTimersByTime(300);
    labelled(el, "One anchor more for maths").click();
    vi.advanceTimersByTime(300);
    vi.useRealTimers();
    expect(model.sent).toEqual([
      { type: "weight", alias: "code", values: [0, 0.9, 0.2] },
      { type: "weight", alias: "maths", values: [0.33, 0.33] },
    ]);
    expect(labelled<HTMLButtonElement>(el, "One anchor fewer for code").disabled).toBe(false);
  });

  it("sends presets, method, place, figure, ticks and removal", () => {
    const { el, model } = mount(shelf("two"));
    type(labelled(el, "Preset for code"), "up", "change");
    type(labelled(el, "Method"), "ties", "change");
    type(labelled(el, "Where it is merged"), "blocks", "change");
    type(labelled(el, "What colours the cells"), "cosine", "change");
    labelled(el, "maths is part of the step").click();
    labelled(el, "Take code off the shelf").click();
    button(el, "Prepare").click();
    button(el, "Try and measure").click();
    expect(model.sent).toEqual([
      { type: "preset", alias: "code", name: "up" },
      { type: "method", name: "ties" },
      { type: "where", name: "blocks" },
      { type: "figure", name: "cosine" },
      { type: "counts", alias: "maths", on: false },
      { type: "remove", alias: "code" },
      { type: "prepare" },
      { type: "try" },
    ]);
  });

  it("lets blocks and adapters be dragged as cards", () => {
    const { el } = mount(shelf("adapter"));
    const cells = el.querySelectorAll<HTMLElement>('[aria-label="Blocks of maths"] button');
    expect(drag(cells[3] as HTMLElement)).toEqual({ kind: "block", parent: "maths", path: "model.layers.2" });
    expect(drag(cells[0] as HTMLElement)).toEqual({
      kind: "block",
      parent: "maths",
      path: "model.embed_tokens",
    });
    expect(drag(labelled(el, "Adopt the adapter style"))).toEqual({ kind: "adapter", alias: "style" });
    const gap = find(mount(shelf("wrong")).el, ".ms-gapped");
    expect(gap.getAttribute("draggable")).not.toBe("true");
    expect(gap.getAttribute("aria-label")).toContain("lacks the tensor");
  });

  it("has cards of new adapters, to drag or to press", () => {
    for (const name of ["two", "empty"]) {
      const { model, el } = mount(shelf(name));
      const card = { kind: "operation", name: "attach", values: { adapter: "lora" } };
      expect(drag(button(el, "LoRA"))).toEqual(card);
      button(el, "LoRA").click();
      expect(model.sent).toEqual([{ type: "take", card }]);
    }
  });

  it("does the same by keyboard: one stop per row, arrows, a cell's actions, Escape back", async () => {
    const { el, model } = mount(shelf("two"));
    const cells = [...el.querySelectorAll<HTMLElement>('[aria-label="Blocks of code"] button')];
    expect(cells.filter((cell) => cell.tabIndex === 0)).toEqual([cells[0]]);
    cells[0]?.focus();
    const press = (key: string) =>
      document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    press("ArrowRight");
    press("ArrowRight");
    await settle();
    expect(document.activeElement).toBe(cells[2]);
    expect(cells[2]?.tabIndex).toBe(0);
    cells[2]?.click();
    await settle();
    expect(document.activeElement).toBe(button(el, "Take this block"));
    button(el, "Take this block").click();
    const here = find<HTMLInputElement>(el, ".ms-shelf-detail input");
    here.value = "0.9";
    here.dispatchEvent(new Event("input", { bubbles: true }));
    here.dispatchEvent(new Event("change", { bubbles: true }));
    expect(model.sent).toEqual([
      { type: "adopt", alias: "code", path: "model.layers.1" },
      { type: "weight_at", alias: "code", path: "model.layers.1", value: 0.9 },
    ]);
    button(el, "Take this block").focus();
    press("Escape");
    await settle();
    expect(find(el, ".ms-shelf-detail")).toBeNull();
    expect(document.activeElement).toBe(cells[2]);
  });

  it("says how far a comparison is, and stops it", () => {
    const { el, model } = mount(shelf("wrong"));
    expect(el.textContent).toContain("Comparing 42 %");
    button(el, "Stop").click();
    expect(model.sent).toEqual([{ type: "stop" }]);
  });

  it("keeps its elements while states come, and folds to its heading", async () => {
    const { el, model } = mount(shelf("two"));
    const cell = find(el, ".ms-shelf-cells button");
    model.set(shelf("own"));
    expect(find(el, ".ms-shelf-cells button")).toBe(cell);
    find(el, ".ms-fold").click();
    await settle();
    expect(find(el, ".ms-shelf-rows")).toBeNull();
    expect(find(el, ".ms-fold").getAttribute("aria-expanded")).toBe("false");
  });
});
