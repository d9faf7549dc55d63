import { beforeEach, describe, expect, it, vi } from "vitest";
import { scenes } from "../dev/scenes";
import history from "../src/history";
import inspector from "../src/inspector";
import outline from "../src/outline";
import report from "../src/report";
import type { Panel } from "../src/shared/panel";
import topbar from "../src/topbar";
import { button, find, labelled, mount, settle } from "./stub";

const demo: Record<string, object> = { ...scenes.demo };
beforeEach(() => document.body.replaceChildren());

describe("every panel", () => {
  const panels: [string, Panel][] = [
    ["topbar", topbar],
    ["outline", outline],
    ["inspector", inspector],
    ["history", history],
    ["report", report],
  ];
  it.each(panels)(
    "%s draws an empty and a full state, says that it is ready, and cleans up",
    (name, panel) => {
      for (const state of [{}, demo[name]]) {
        const { el, stop } = mount(panel, state);
        expect(find(el, `.ms-${name}`).dataset.ready).toBe("true");
        stop();
        expect(el.childElementCount).toBe(0);
      }
    },
  );
});

describe("names are text", () => {
  it("shows markup in a name as it is written", () => {
    const name = "<img src=x onerror=alert(1)>";
    const row = { path: name, title: name, depth: 0, figure: name };
    const mounted = [
      mount(outline, { rows: [row] }),
      mount(topbar, { name, detail: name, notice: { text: name } }),
      mount(inspector, { title: name, dry_run: { error: { text: name, hint: name } } }),
      mount(history, { states: [{ id: "0", parent: null, label: name }] }),
      mount(report, { sentence: name }),
    ];
    for (const { el } of mounted) {
      expect(el.textContent).toContain(name);
      expect(el.querySelector("img")).toBeNull();
    }
  });
});

describe("the ways of a verb", () => {
  const shown = (count: number) => {
    const operations = [...Array(count).keys()].map((n) => ({
      name: `way${n}`,
      title: `Way ${n}`,
      active: n === 1,
    }));
    const group = { name: "merge", title: "Merge", active: true, enabled: true, reason: null, operations };
    return mount(inspector, { title: "x", groups: [group] });
  };

  it("stand beside each other where they are few", () => {
    const { el } = shown(9);
    expect(button(el, "Way 1").getAttribute("aria-pressed")).toBe("true");
    expect(labelled(el, "Ways to merge").querySelectorAll("button")).toHaveLength(9);
  });

  it("are a list that opens where they are many", () => {
    const { el, model } = shown(18);
    const list = labelled<HTMLSelectElement>(el, "Ways to merge");
    expect(list.value).toBe("way1");
    list.value = "way7";
    list.dispatchEvent(new Event("change", { bubbles: true }));
    expect(model.sent).toContainEqual({ type: "operation", name: "way7" });
  });
});

describe("a refusal's hint", () => {
  it("shows as code what is code, and a lone backtick as it is", () => {
    const shown = (hint: string) =>
      find(mount(inspector, { dry_run: { error: { text: "no", hint } } }).el, ".ms-refusal > span").innerHTML;
    expect(shown('`untie("a")` first, or detach')).toBe('<code>untie("a")</code> first, or detach');
    expect(shown("a ` b")).toBe("a ` b");
  });
});

describe("a new state", () => {
  it("leaves focus and typed text alone", async () => {
    const { el, model } = mount(outline, demo.outline);
    const input = find<HTMLInputElement>(el, "input");
    input.focus();
    await settle();
    input.value = "**.q_pr";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    model.set({ ...demo.outline, search: "**.q", matches: 3 });
    await settle();
    expect(find(el, "input")).toBe(input);
    expect(document.activeElement).toBe(input);
    expect(input.value).toBe("**.q_pr");
  });
});

describe("a chart", () => {
  it("is an image, so that no name in it can be markup of the page", () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><title>"&</title></svg>';
    const { el } = mount(inspector, { ...demo.inspector, chart: { title: 'a "b"', svg } });
    const image = find<HTMLImageElement>(el, ".ms-form-chart");
    expect(image.alt).toBe('a "b"');
    expect(decodeURIComponent(image.src.split(",")[1] ?? "")).toBe(svg);
    expect(el.querySelector("svg title")).toBeNull();
  });
});

describe("what is not current", () => {
  it("is no figure to go by while the dry run is computed", () => {
    const inspected = demo.inspector as { form: object; dry_run: object };
    const { el } = mount(inspector, {
      ...inspected,
      form: { ...inspected.form, can_apply: false },
      dry_run: { ...inspected.dry_run, caption: "computing …", stale: true, python: "" },
    });
    expect(find(el, ".ms-dry").getAttribute("aria-busy")).toBe("true");
    expect(find(el, ".ms-dry").className).toContain("ms-stale");
    expect(el.querySelector(".ms-python code")).toBeNull();
    expect(find<HTMLButtonElement>(el, ".ms-primary").disabled).toBe(true);
  });

  it("keeps an evaluation's bar and Stop beside a save", () => {
    const running = { label: "Evaluating", fraction: 0.5 };
    const { el, model } = mount(topbar, { ...demo.topbar, evaluating: running, saving: "Saving out" });
    expect(el.textContent).toContain("Saving out");
    expect(find(el, '[role="progressbar"]').getAttribute("aria-valuenow")).toBe("50");
    find<HTMLButtonElement>(el, ".ms-toast .ms-link").click();
    expect(model.sent).toEqual([{ type: "stop" }]);
    model.set({ ...demo.topbar, evaluating: null, saving: "Saving out" });
    expect(find<HTMLButtonElement>(el, ".ms-evaluate button").disabled).toBe(false);
  });
});

describe("messages", () => {
  it("come from the bar", () => {
    const { el, model } = mount(topbar, { ...demo.topbar, can_redo: true });
    find<HTMLButtonElement>(el, '[aria-label="Undo"]').click();
    find<HTMLButtonElement>(el, '[aria-label="Redo"]').click();
    find<HTMLFormElement>(el, ".ms-evaluate").dispatchEvent(new Event("submit", { bubbles: true }));
    expect(model.sent).toEqual([{ type: "undo" }, { type: "redo" }, { type: "evaluate", budget_s: 2 }]);
  });

  it("save over a model only where that was ticked", async () => {
    const { el, model } = mount(topbar, demo.topbar);
    const open = () => find<HTMLButtonElement>(el, ".ms-save > button").click();
    const submit = () => el.querySelectorAll(".ms-popover form")[1]?.dispatchEvent(new Event("submit"));
    open();
    await settle();
    submit();
    await settle();
    open();
    await settle();
    find<HTMLInputElement>(el, ".ms-check input").click();
    await settle();
    submit();
    const path = (demo.topbar as { save: { model_path: string } }).save.model_path;
    expect(model.sent).toEqual([
      { type: "save_model", path, overwrite: false },
      { type: "save_model", path, overwrite: true },
    ]);
  });

  it("say a search while typing, and submit it on Enter", async () => {
    const { el, model } = mount(outline, { ...demo.outline, search: "" });
    const input = find<HTMLInputElement>(el, "input");
    input.focus();
    await settle();
    input.value = "q_proj";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    expect(model.sent).toEqual([{ type: "search", text: "q_proj", submit: true }]);
  });

  it("flush a field before they apply", () => {
    vi.useFakeTimers();
    const { el, model } = mount(inspector, demo.inspector);
    const input = find<HTMLInputElement>(el, ".ms-slider .ms-input");
    input.value = "24";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    vi.advanceTimersByTime(20);
    find<HTMLFormElement>(el, "form").dispatchEvent(new Event("submit", { bubbles: true }));
    expect(model.sent).toEqual([{ type: "field", name: "rank", value: 24 }, { type: "apply" }]);
    vi.useRealTimers();
  });

  it("do not come from a verb that does not fit", () => {
    const { el, model } = mount(inspector, demo.inspector);
    const [, untie, merge] = el.querySelectorAll<HTMLButtonElement>(".ms-segments button");
    untie?.click();
    merge?.click();
    expect(model.sent).toEqual([{ type: "operation", name: "average" }]);
  });

  it("select rows, toggle them, and go to states", () => {
    const tree = mount(outline, demo.outline);
    const rows = tree.el.querySelectorAll<HTMLElement>('[role="treeitem"]');
    rows[3]?.click();
    rows[5]?.dispatchEvent(new MouseEvent("click", { bubbles: true, ctrlKey: true }));
    expect(tree.model.sent).toEqual([
      { type: "select", paths: ["model.layers.0"], mode: "set" },
      { type: "select", paths: ["model.layers.2"], mode: "toggle" },
    ]);
    const past = mount(history, demo.history);
    find<HTMLButtonElement>(past.el, ".ms-state").click();
    expect(past.model.sent).toEqual([{ type: "goto", id: "0" }]);
  });
});
