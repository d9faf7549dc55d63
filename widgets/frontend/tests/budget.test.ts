import { beforeEach, describe, expect, it } from "vitest";
import { budgetState, suggestions } from "../dev/scenes/budget";
import { alphaOf, type Look } from "../src/canvas/draw/look";
import report from "../src/report";
import type { Rung } from "../src/report/protocol";
import { trade } from "../src/report/trade";
import { fade, hearFade } from "../src/shared/fade";
import { find, labelled, mount, settle } from "./stub";

const held = () => new Promise((resolve) => setTimeout(resolve, 450));

beforeEach(() => document.body.replaceChildren());

function shown(more: object = {}) {
  const studio = document.createElement("div");
  studio.className = "ms-studio";
  document.body.append(studio);
  const faded: string[][] = [];
  studio.addEventListener("ms-fade", (event) => faded.push((event as CustomEvent).detail?.paths));
  const place = document.createElement("div");
  studio.append(place);
  const made = mount(
    report,
    { tab: "budget", title: "Budget", budget: budgetState, suggestions, ...more },
    place,
  );
  studio.append(place); // `mount` hangs it into the page itself
  const slider = find<HTMLInputElement>(place, 'input[type="range"]');
  const drag = async (count: number) => {
    slider.value = String(count);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
  };
  return { ...made, studio, faded, slider, drag };
}

describe("the budget's slider", () => {
  it("fades what the plan would take while it is dragged, and asks nothing of Python", async () => {
    const { model, faded, drag } = shown();
    await drag(2);
    await drag(1);
    expect(faded.slice(-2)).toEqual([["model.layers.1", "model.layers.2"], ["model.layers.1"]]);
    expect(model.sent).toEqual([]);
  });

  it("has the plan measured when it is let go, and once where a key is held down", async () => {
    const { model, slider, drag } = shown();
    for (const count of [2, 3, 4]) {
      await drag(count);
      slider.dispatchEvent(new Event("change", { bubbles: true }));
    }
    await held();
    expect(model.sent).toEqual([{ type: "budget_release", count: 4 }]);
  });

  it("says share, edits, figure and band to whoever cannot see it", async () => {
    const { slider, drag } = shown();
    expect(slider.getAttribute("aria-valuetext")).toContain("interaction");
    await drag(2);
    expect(slider.getAttribute("aria-valuetext")).toBe(
      "−19.6 %, 2 edits, perplexity 4.62, expected within 4.16 to 5.36",
    );
    expect(slider.min).toBe("0");
    expect(slider.max).toBe("6");
  });

  it("applies the plan that is shown, and none before one is chosen", async () => {
    const { model, el, drag } = shown();
    const apply = () => find<HTMLButtonElement>(el, ".ms-primary");
    await drag(2);
    expect(apply().textContent).toBe("Apply 2 edits");
    apply().click();
    await drag(0);
    expect(apply().disabled).toBe(true);
    expect(model.sent).toEqual([{ type: "budget_apply", count: 2 }]);
  });

  it("says in words where measured and expected part", () => {
    const { el } = shown();
    expect(find(el, ".ms-worse").textContent).toContain("interaction");
    expect(el.querySelectorAll(".ms-trade-dot.ms-apart").length).toBe(1);
  });

  it("draws the graph as it is once the tab is left", async () => {
    const { model, faded, drag } = shown();
    await drag(3);
    model.set({ tab: "layers", title: "Layers" });
    await settle();
    expect(faded.at(-1)).toEqual([]);
  });

  it("offers to calibrate only where the band is a cautious one", () => {
    const first = shown();
    expect(first.el.textContent).not.toContain("Calibrate");
    document.body.replaceChildren();
    const { model, el } = shown({ budget: { ...budgetState, calibrate: "Calibrate the band" } });
    find<HTMLButtonElement>(el, ".ms-budget-said .ms-link").click();
    expect(model.sent).toEqual([{ type: "budget_calibrate" }]);
  });
});

describe("suggestions", () => {
  it("say why when they are asked, show where, and are made one by one", async () => {
    const { model, el } = shown();
    expect(el.querySelector(".ms-why")).toBeNull();
    labelled<HTMLButtonElement>(el, "Why remove 1").click();
    await settle();
    expect(find(el, ".ms-why").textContent).toContain("The best of 19 edits");
    expect(labelled(el, "Why remove 1").getAttribute("aria-expanded")).toBe("true");
    find<HTMLButtonElement>(el, ".ms-suggestion-words").click();
    labelled<HTMLButtonElement>(el, "Apply tie 6 and 7").click();
    expect(model.sent).toEqual([
      { type: "select", paths: ["model.layers.1"], mode: "set" },
      { type: "suggestion_apply", count: 1 },
    ]);
  });
});

describe("the budget's chart", () => {
  const rungs = budgetState.rungs as Rung[];
  it("grows to the right with the edits, and lies within its box", () => {
    const scale = trade(rungs, "lower");
    expect([scale.x(0), scale.x(6)]).toEqual([0, 100]);
    for (const item of rungs) {
      for (const value of [item.low, item.value, item.high]) {
        expect(scale.y(value)).toBeGreaterThanOrEqual(0);
        expect(scale.y(value)).toBeLessThanOrEqual(100);
      }
      expect(scale.y(item.low)).toBeLessThanOrEqual(scale.y(item.high));
    }
  });

  it("is logarithmic where the most would flatten all others", () => {
    expect(trade(rungs, "lower").logarithmic).toBe(false);
    const far = rungs.map((item, place) => (place === 6 ? { ...item, value: 900, high: 2000 } : item));
    expect(trade(far, "lower").logarithmic).toBe(true);
  });

  it("stays finite where nothing changes", () => {
    const flat = rungs.map((item) => ({ ...item, value: 2, low: 2, high: 2, measured: null }));
    expect(Number.isFinite(trade(flat, "lower").y(2))).toBe(true);
  });
});

describe("what is to fade", () => {
  it("is heard by the graph of the same studio, and by no other once that has gone", () => {
    const heard: string[][] = [];
    const gone = new AbortController();
    const { studio, el } = shown();
    hearFade(el, (paths) => heard.push(paths), gone.signal);
    fade(el, ["model.layers.1"]);
    studio.dispatchEvent(new CustomEvent("ms-fade", { detail: { paths: [3, "a"] } }));
    studio.dispatchEvent(new CustomEvent("ms-fade"));
    gone.abort();
    fade(el, ["model.layers.2"]);
    expect(heard).toEqual([["model.layers.1"], ["a"], []]);
  });

  it("is drawn fainter than all else, what is dragged included", () => {
    const look = { faded: new Set(["a"]), lifted: ["b"] as readonly string[] } as unknown as Look;
    expect(alphaOf(look, "a")).toBeLessThan(alphaOf(look, "b"));
    expect(alphaOf(look, "c", 0.5)).toBe(0.5);
  });
});
