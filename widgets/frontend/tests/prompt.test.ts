import { beforeEach, describe, expect, it } from "vitest";
import { answered, pictured } from "../dev/scenes/prompt";
import prompt from "../src/prompt";
import { readNumber } from "../src/prompt/form";
import { movedTo, words } from "../src/prompt/tokens";
import { button, find, labelled, mount, settle } from "./stub";

beforeEach(() => document.body.replaceChildren());

const tokens = (el: HTMLElement, side: string) => [
  ...el.querySelectorAll<HTMLButtonElement>(`[aria-label="${side}'s answer"] button`),
];

describe("the bench", () => {
  it("is nothing until it is opened, and begins at the text to type", async () => {
    const { el, model } = mount(prompt, { open: false });
    expect(el.querySelector(".ms-prompt-view")).toBeNull();
    model.set({ open: true, takes: "text", writes: true });
    await settle();
    expect(document.activeElement).toBe(labelled(el, "Prompt"));
    expect(button(el, "Ask both").disabled).toBe(true);
  });

  it("says why nothing can be asked", () => {
    const { el } = mount(prompt, { open: true, reason: "A model opened without weights answers nothing." });
    expect(el.textContent).toContain("without weights");
    expect(el.querySelector("form")).toBeNull();
  });

  it("asks what was typed, on Enter, and not with a number that is none", async () => {
    const { el, model } = mount(prompt, { open: true, takes: "text", writes: true });
    const area = labelled<HTMLTextAreaElement>(el, "Prompt");
    area.value = "The for";
    area.dispatchEvent(new Event("input", { bubbles: true }));
    const temperature = labelled<HTMLInputElement>(el, "Temperature");
    temperature.value = "x";
    temperature.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    expect(model.sent).toEqual([]);
    expect(temperature.getAttribute("aria-invalid")).toBe("true");
    temperature.value = "0,8";
    temperature.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", shiftKey: true, bubbles: true }));
    expect(model.sent).toEqual([]);
    area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    expect(model.sent).toEqual([
      {
        type: "ask",
        prompt: "The for",
        tokens: 64,
        temperature: 0.8,
        seed: 0,
        example: null,
        image: null,
      },
    ]);
  });

  it("has Stop while it runs, and Escape closes it", () => {
    const { el, model } = mount(prompt, { ...answered, running: true });
    button(el, "Stop").click();
    find(el, ".ms-prompt-view").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    expect(model.sent).toEqual([{ type: "stop" }, { type: "close" }]);
  });
});

describe("tokens", () => {
  it("are two texts with tints, a legend and one mark at the first difference of each", () => {
    const { el } = mount(prompt, answered);
    expect(tokens(el, "Original")).toHaveLength(answered.columns[0]?.tokens.length ?? -1);
    expect(el.querySelectorAll(".ms-first-difference")).toHaveLength(2);
    expect(tokens(el, "Original")[9]?.getAttribute("aria-label")).toContain("the first difference");
    expect(tokens(el, "Edited")[12]?.className).toContain("ms-kl-4");
    expect(find(el, ".ms-prompt-legend").textContent).toContain("nats");
    expect(find(el, ".ms-prompt-legend").querySelectorAll(".ms-token")).toHaveLength(5);
  });

  it("are one stop of Tab per text, walked by arrows, and asked for by a press", async () => {
    const { el, model } = mount(prompt, answered);
    await settle();
    const stops = (side: string) => tokens(el, side).filter((item) => item.tabIndex === 0);
    expect(stops("Original")).toEqual([tokens(el, "Original")[9]]);
    expect(tokens(el, "Original")[9]?.getAttribute("aria-pressed")).toBe("true");
    tokens(el, "Original")[9]?.focus();
    tokens(el, "Original")[9]?.dispatchEvent(
      new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }),
    );
    await settle();
    expect(document.activeElement).toBe(tokens(el, "Original")[10]);
    expect(stops("Original")).toEqual([tokens(el, "Original")[10]]);
    tokens(el, "Edited")[3]?.click();
    expect(model.sent).toEqual([{ type: "blame", side: "edited", position: 3 }]);
  });

  it("keep the focus while more are written", async () => {
    const first = answered.columns.map((column) => ({ ...column, tokens: column.tokens.slice(0, 4) }));
    const { el, model } = mount(prompt, { ...answered, columns: first, running: true, blame: null });
    await settle();
    const second = tokens(el, "Original")[2];
    second?.focus();
    model.set({ ...answered, running: true, blame: null });
    await settle();
    expect(document.activeElement).toBe(second);
    expect(el.querySelectorAll(".ms-caret")).toHaveLength(2);
  });

  it("show markup as it is written", () => {
    const name = "<img src=x onerror=alert(1)>";
    const token = { text: name, level: 4, tip: name, breaks: false };
    const { el } = mount(prompt, {
      ...answered,
      prompt: name,
      sentence: name,
      columns: [{ side: "original", title: "Original", tokens: [token] }],
      blame: { title: name, sentence: name, steps: [{ number: 1, words: name, refused: name }] },
    });
    expect(el.textContent).toContain(name);
    expect(el.querySelector("img")).toBeNull();
  });

  it("stay together in words, whether a blank ends one or begins the next", () => {
    const of = (...texts: string[]) =>
      words(texts.map((text) => ({ text, level: 0, tip: "", breaks: text.endsWith("↵") }))).map((word) =>
        word.tokens.map((token) => token.text).join(""),
      );
    expect(of("a", "n", "·", "o", "↵", "x")).toEqual(["an·", "o↵", "x"]);
    expect(of("an", "·ob", "ject", "·of")).toEqual(["an", "·object", "·of"]);
    expect(
      words(Array.from({ length: 50 }, () => ({ text: "x", level: 0, tip: "", breaks: false }))),
    ).toHaveLength(3);
    expect(of()).toEqual([]);
  });

  it("are reached by keys within the text", () => {
    expect([movedTo("ArrowLeft", 0, 5), movedTo("End", 1, 5), movedTo("Home", 3, 5)]).toEqual([0, 4, 0]);
    expect([movedTo("ArrowDown", 4, 5), movedTo("a", 4, 5)]).toEqual([4, null]);
  });
});

describe("blame", () => {
  it("is a bar per step, to either side, with the reason where there is none", () => {
    const { el } = mount(prompt, answered);
    const bars = [...el.querySelectorAll<HTMLElement>(".ms-blame-bar i")];
    expect(bars.map((bar) => [bar.style.left, bar.style.right, bar.style.width])).toEqual([
      ["", "50%", "34.0%"],
      ["50%", "", "50.0%"],
      ["50%", "", "1.0%"],
    ]);
    expect(find(el, ".ms-blame-refused").textContent).toContain("cannot be made without it");
    expect(el.querySelectorAll(".ms-blame tbody th")).toHaveLength(4);
  });
});

describe("images", () => {
  it("are asked by the number of an example within the data", async () => {
    const { el, model } = mount(prompt, { ...pictured, example: null });
    const input = labelled<HTMLInputElement>(el, "Example of the data");
    for (const typed of ["449", "12"]) {
      input.value = typed;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      await settle();
      find(el, "form").dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
    }
    expect(model.sent).toMatchObject([{ type: "ask", example: 12, image: null }]);
  });

  it("give classes with bars of both models, and a button for blame", () => {
    const { el, model } = mount(prompt, pictured);
    const widths = [...el.querySelectorAll<HTMLElement>(".ms-prompt-rank-bar i")].map((i) => i.style.width);
    expect(widths.slice(0, 2)).toEqual(["98.1%", "34.1%"]);
    button(el, "Which step is to blame?").click();
    expect(model.sent).toEqual([{ type: "blame", side: "original", position: 0 }]);
  });
});

describe("numbers", () => {
  it("are read within bounds", () => {
    expect([readNumber("0,5", 0, 1, false), readNumber("0.5", 0, 1, true)]).toEqual([0.5, null]);
    expect([readNumber("", 0, 1, false), readNumber("2", 0, 1, true), readNumber("1e9", 0, 5, true)]).toEqual(
      [null, null, null],
    );
  });
});
