import { h, render } from "preact";
import { beforeEach, describe, expect, it } from "vitest";
import { scenes } from "../dev/scenes";
import { Costs } from "../src/canvas/costs";
import { canvasState } from "../src/canvas/protocol";

const settle = () => new Promise((resolve) => setTimeout(resolve, 60));
const ask = {
  operations: [
    { name: "remove", title: "Remove" },
    { name: "skip", title: "Skip" },
  ],
  operation: "remove",
  budget_s: 10,
  running: false,
  best: null as string | null,
};
const legend = { title: "perplexity after remove", low: "+0.49", high: "+71.62" };

beforeEach(() => document.body.replaceChildren());

function mount() {
  const el = document.createElement("div");
  document.body.append(el);
  const sent: unknown[] = [];
  const show = (part: object) => {
    const state = canvasState({ ...scenes.demo?.canvas, legend: null, ask, ...part });
    render(h(Costs, { state, send: (message) => sent.push(message) }), el);
  };
  const find = <E extends HTMLElement>(selector: string) => el.querySelector<E>(selector) as E;
  return { el, sent, show, find };
}

describe("what each block would cost", () => {
  it("is asked with an operation and a time", async () => {
    const { sent, show, find } = mount();
    show({});
    find<HTMLSelectElement>("select").value = "skip";
    find("select").dispatchEvent(new Event("change", { bubbles: true }));
    find<HTMLInputElement>("input").value = "0,5";
    find("input").dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    find("form").dispatchEvent(new Event("submit", { bubbles: true }));
    expect(sent).toEqual([{ type: "sweep", operation: "skip", budget_s: 0.5 }]);
  });

  it("is not asked twice at a time, nor in no time", async () => {
    const { sent, show, find } = mount();
    show({ ask: { ...ask, running: true } });
    expect(find<HTMLButtonElement>("button").disabled).toBe(true);
    find("form").dispatchEvent(new Event("submit", { bubbles: true }));
    show({});
    find<HTMLInputElement>("input").value = "-1";
    find("input").dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    find("form").dispatchEvent(new Event("submit", { bubbles: true }));
    expect(sent).toEqual([]);
  });

  it("is answered by a legend whose best can be taken, and asked again", async () => {
    const { el, sent, show, find } = mount();
    const answered = { legend, ask: { ...ask, best: "remove layers.1" } };
    show(answered);
    await settle();
    expect(el.textContent).toContain("+71.62");
    find<HTMLButtonElement>(".ms-link").click();
    expect(sent).toEqual([{ type: "take_best" }]);
    find<HTMLButtonElement>(".ms-again").click();
    await settle();
    expect(el.querySelector("form")).not.toBeNull();
    show({ ...answered, ask: { ...answered.ask, running: true } });
    await settle();
    show(answered); // the same answer again
    await settle();
    expect(el.querySelector("form")).toBeNull();
  });

  it("is no question without blocks", () => {
    const { el, show } = mount();
    show({ ask: null });
    expect(el.childElementCount).toBe(0);
    show({ ask: null, legend });
    expect(el.querySelector("button")).toBeNull();
  });
});
