import { beforeEach, describe, expect, it } from "vitest";
import compare from "../src/compare";
import { folded } from "../src/compare/folds";
import { movedBy } from "../src/compare/swipe";
import { button, find, mount, settle } from "./stub";

describe("two states compared", () => {
  const column = (path: string, mark: string | null = null) => ({ before: path, after: path, path, mark });
  const columns = (marks: (string | null)[]) => marks.map((mark, i) => column(String(i), mark)) as never;
  it("folds a long stretch of what is the same, but for its ends", () => {
    const pieces = folded(columns([null, "remove", ...Array(8).fill(null)]));
    expect(pieces.map((piece) => (piece.kind === "run" ? piece.columns.length : piece.column.path))).toEqual([
      "0",
      "1",
      "2",
      6,
      "9",
    ]);
  });
  it("leaves a short stretch open", () => expect(folded(columns(Array(5).fill(null)))).toHaveLength(5));
});

describe("one state over the other", () => {
  beforeEach(() => document.body.replaceChildren());
  const shown = {
    before: { id: 0, label: "Original" },
    after: { id: 1, label: "cut" },
    columns: [
      { before: "0", after: "0", path: "layers.0", mark: null },
      { before: "1", after: null, path: "layers.1", mark: "remove" },
      { before: "2", after: "1", path: "layers.1", mark: "changed" },
      { before: null, after: "extra", path: "layers.extra", mark: "new" },
    ],
    changes: ["- layers.1"],
  };
  async function swiped() {
    const mounted = mount(compare, { shown });
    await settle();
    const divider = () => find(mounted.el, '[role="slider"]');
    return { ...mounted, divider };
  }
  const names = (el: HTMLElement, side: string) =>
    [...el.querySelectorAll(`.ms-swipe-${side} > li`)].map(
      (item) => item.querySelector(".ms-swipe-card, button")?.textContent ?? "",
    );
  const clips = (el: HTMLElement) =>
    ["before", "after"].map((side) => find(el, `.ms-swipe-${side}`).style.clipPath);

  it("is shown when it is asked for, and both stand side by side until then", async () => {
    const { el, divider } = await swiped();
    expect(divider()).toBeNull();
    expect(find(el, '[aria-label="Blocks aligned"]')).not.toBeNull();
    button(el, "Swipe").click();
    await settle();
    expect(find(el, '[aria-label="Blocks aligned"]')).toBeNull();
    expect(button(el, "Swipe").getAttribute("aria-pressed")).toBe("true");
    expect(divider().getAttribute("aria-valuenow")).toBe("50");
    button(el, "Side by side").click();
    await settle();
    expect(divider()).toBeNull();
  });

  it("keeps each block in one place on both sides, with a gap where one has none", async () => {
    const { el } = await swiped();
    button(el, "Swipe").click();
    await settle();
    expect(names(el, "before")).toEqual(["0", "1", "2", ""]);
    expect(names(el, "after")).toEqual(["0", "", "1", "extra"]);
    const rooms = (side: string) =>
      [...el.querySelectorAll(`.ms-swipe-${side} .ms-swipe-room`)].map((item) => item.textContent?.length);
    expect(rooms("before")).toEqual(rooms("after"));
  });

  it("moves its divider by keys, says where it stands, and shows no more of one than is hidden of the other", async () => {
    const { el, divider } = await swiped();
    button(el, "Swipe").click();
    await settle();
    const press = async (key: string, more: object = {}) => {
      const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
      divider().dispatchEvent(event);
      await settle();
      return event.defaultPrevented;
    };
    expect(await press("ArrowLeft")).toBe(true);
    expect(await press("ArrowRight", { shiftKey: true })).toBe(true);
    expect(divider().getAttribute("aria-valuenow")).toBe("58");
    expect(divider().getAttribute("aria-valuetext")).toBe("before up to 58 %, now from there");
    expect(clips(el)).toEqual(["inset(-4px 42% -4px -4px)", "inset(-4px -4px -4px 58%)"]);
    await press("Home");
    expect(divider().getAttribute("aria-valuetext")).toBe("all as it is now");
    expect(await press("x")).toBe(false);
  });

  it("selects what one presses on its side of now", async () => {
    const { el, model } = await swiped();
    button(el, "Swipe").click();
    await settle();
    button(el, "extra").click();
    expect(model.sent).toEqual([{ type: "select", paths: ["layers.extra"], mode: "set" }]);
  });

  it("has a divider that stays between the ends", () => {
    expect([movedBy("ArrowLeft", 1), movedBy("End", 3), movedBy("PageUp", 95), movedBy("a", 5)]).toEqual([
      0,
      100,
      100,
      null,
    ]);
  });
});
