import { beforeEach, describe, expect, it } from "vitest";
import { openBlock } from "../dev/blocks";
import { scenes } from "../dev/scenes";
import canvas from "../src/canvas";
import { type Carried, carriedTo, dropped, endAt, landing, pickUp } from "../src/canvas/gestures/carry";
import { CARD_TYPE, readCard } from "../src/canvas/gestures/foreign";
import { hitTest } from "../src/canvas/gestures/hit";
import { layoutScene } from "../src/canvas/layout/layout";
import { type Thread, threadsOf } from "../src/canvas/layout/threads";
import { fileName, pictureFrame } from "../src/canvas/picture";
import { canvasState } from "../src/canvas/protocol";
import { type Box, centreX, centreY, type Point, type Scene, selectableBox } from "../src/canvas/scene";
import { mount as mountPanel } from "./stub";

const demo = canvasState(scenes.demo?.canvas);
const scene = layoutScene(demo, (text) => text.length * 6.5, new Map()) as Scene;
const threads = threadsOf(demo.ties, scene);
const layer = (i: number) => `model.layers.${i}`;
const middle = (path: string): Point => {
  const box = selectableBox(scene, path) as Box;
  return { x: centreX(box), y: centreY(box) };
};
const ground = { x: -400, y: -400 };

describe("carrying a node", () => {
  const lift = (path: string, selection: string[] = []) =>
    pickUp(scene, threads, middle(path), 1, selection) as Carried;

  it("takes the selection along where it is part of it, and goes alone where it is not", () => {
    expect(lift(layer(3), [layer(3), layer(4)])).toMatchObject({ sources: [layer(3), layer(4)] });
    expect(lift(layer(5), [layer(3), layer(4)])).toMatchObject({ sources: [layer(5)] });
  });

  it("begins on nodes only: the ground, a strip and what is too small to aim at are panned", () => {
    expect(pickUp(scene, threads, ground, 1, [])).toBeNull();
    const strip = scene.nodes.find((node) => node.kind === "strip") as Box;
    expect(pickUp(scene, threads, { x: strip.x + 3, y: strip.y + 60 }, 1, [])).toBeNull();
    expect(pickUp(scene, threads, middle(layer(5)), 0.1, [])).toBeNull();
  });

  it("lands on another node, and says so with both ends", () => {
    const over = carriedTo(lift(layer(5)), scene, middle("lm_head"), 1);
    expect(over).toMatchObject({ target: "lm_head" });
    expect(dropped(over)).toEqual({ type: "drop", sources: [layer(5)], target: "lm_head" });
  });

  it("lands neither on the ground, on itself, nor on what it is part of", () => {
    const to = (at: Point) => dropped(carriedTo(lift(layer(3)), scene, at, 1));
    expect([to(ground), to(middle(layer(3))), to(middle(`${layer(3)}.self_attn.q_proj`))]).toEqual([
      null,
      null,
      null,
    ]);
    expect(landing(hitTest(scene, middle(layer(3))), [`${layer(3)}.mlp`])).toBeNull();
    expect(landing(hitTest(scene, middle(layer(3))), ["model.layers.30"])).toBe(layer(3));
  });
});

describe("a thread's end", () => {
  const tie = threads.find((thread) => thread.index === 3) as Thread;
  const [first, second] = tie.ends as [Point, Point];

  it("is found where it is drawn, unless its tie is only pending or bundled", () => {
    expect(endAt(threads, { x: second.x + 3, y: second.y }, 7)).toEqual({ thread: tie, end: 1 });
    const pending = threads.find((thread) => thread.pending) as Thread;
    expect(endAt([pending], pending.ends[0] as Point, 7)).toBeNull();
    expect(endAt([{ ...tie, count: 4 }], second, 7)).toBeNull();
  });

  it("unties what hangs on it when it is let go over free ground", () => {
    const held = pickUp(scene, threads, second, 1, []) as Carried;
    expect(dropped(carriedTo(held, scene, { x: second.x, y: second.y + 60 }, 1))).toEqual({
      type: "untie",
      paths: [layer(9)],
    });
  });

  it("stays tied when it is put back, or let go over a node", () => {
    const held = pickUp(scene, threads, first, 1, []) as Carried;
    expect(dropped(carriedTo(held, scene, { x: first.x + 5, y: first.y + 4 }, 1))).toBeNull();
    expect(dropped(carriedTo(held, scene, middle("lm_head"), 1))).toBeNull();
  });
});

describe("the panel", () => {
  beforeEach(() => document.body.replaceChildren());

  function mount(more: object = {}) {
    const studio = document.createElement("div");
    studio.className = "ms-studio";
    const { model, stop } = mountPanel(canvas, { ...scenes.demo?.canvas, ...more }, studio);
    const element = studio.querySelector("canvas") as HTMLCanvasElement;
    const menus: unknown[] = [];
    document.addEventListener("ms-menu", (event) => menus.push((event as CustomEvent).detail));
    return { model, element, studio, menus, stop };
  }
  /** happy-dom has no layout: a place in the window is a place in the world there. */
  const at = (path: string) => ({
    clientX: middle(path).x,
    clientY: middle(path).y,
    ...offset(middle(path)),
  });
  const offset = ({ x, y }: Point) => ({ offsetX: x, offsetY: y });
  const fire = (element: HTMLElement, type: string, init: object) => {
    const event = new MouseEvent(type, { bubbles: true, cancelable: true });
    for (const [name, value] of Object.entries(init)) Object.defineProperty(event, name, { value });
    element.dispatchEvent(event);
    return event;
  };

  it("asks for the menu at a node, which becomes the selection, in the browser's stead", () => {
    const { model, element, menus } = mount();
    const place = at(layer(6));
    const event = fire(element, "contextmenu", place);
    expect(event.defaultPrevented).toBe(true);
    expect(model.sent).toEqual([{ type: "select", paths: [layer(6)], mode: "set" }]);
    expect(menus).toEqual([{ path: layer(6), x: place.clientX, y: place.clientY }]);
  });

  it("keeps a selection that the node is part of, and has a menu for the ground too", () => {
    const { model, element, menus } = mount();
    fire(element, "contextmenu", at(layer(4)));
    fire(element, "contextmenu", { ...offset(ground), clientX: 5, clientY: 6 });
    expect(model.sent).toEqual([]);
    expect(menus).toMatchObject([{ path: layer(4) }, { path: null, x: 5, y: 6 }]);
  });

  it("asks for it once by the menu key, and not without a selection", () => {
    for (const [selection, count] of [
      [[layer(3)], 1],
      [[], 0],
    ] as const) {
      const { element, menus } = mount({ selection });
      element.dispatchEvent(new KeyboardEvent("keydown", { key: "F10", shiftKey: true, bubbles: true }));
      if (count) fire(element, "contextmenu", { ...offset(ground) });
      expect(menus).toHaveLength(count);
    }
  });

  it("takes a card that is dropped onto a node, and nothing that is not a card", () => {
    const { model, element } = mount();
    const drop = (text: string, path: string) =>
      fire(element, "drop", { ...at(path), dataTransfer: { types: [CARD_TYPE], getData: () => text } });
    expect(drop('{"kind": "adapter", "name": "a"}', layer(2)).defaultPrevented).toBe(true);
    drop("[1]", layer(2));
    drop("no json", layer(2));
    fire(element, "drop", { ...offset(ground), dataTransfer: { types: [CARD_TYPE], getData: () => "{}" } });
    expect(model.sent).toEqual([{ type: "card", card: { kind: "adapter", name: "a" }, target: layer(2) }]);
  });

  it("lets a card hover over nodes only, and leaves other things that are dragged alone", () => {
    const { element } = mount();
    const over = (path: Point, types: string[]) =>
      fire(element, "dragover", { ...offset(path), dataTransfer: { types, dropEffect: "" } })
        .defaultPrevented;
    expect([
      over(middle(layer(2)), [CARD_TYPE]),
      over(ground, [CARD_TYPE]),
      over(middle(layer(2)), ["Files"]),
    ]).toEqual([true, false, false]);
  });

  it("says that it is ready, and goes without a trace", () => {
    const { studio, stop } = mount();
    expect(studio.querySelector<HTMLElement>(".ms-canvas")?.dataset.ready).toBe("true");
    stop();
    expect(studio.childElementCount).toBe(0);
  });
});

describe("cards and pictures", () => {
  it("are read from a JSON object and nothing else", () => {
    expect(readCard('{"a": 1}')).toEqual({ a: 1 });
    expect([readCard("[]"), readCard("null"), readCard("3"), readCard("{")]).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });

  it("show all, threads too, at twice the size, smaller where no browser could", () => {
    const { part, scale } = pictureFrame(scene, threads);
    expect(scale).toBe(2);
    const highest = Math.min(...threads.flatMap((thread) => thread.ends.map((end) => end.y)));
    expect(part.y).toBeLessThan(highest);
    const wide = { ...scene, bounds: { ...scene.bounds, w: 90_000 } };
    expect(pictureFrame(wide, []).part.w * pictureFrame(wide, []).scale).toBeLessThanOrEqual(16_000);
  });

  it("are named as asked, with an ending, without what a file's name may not hold", () => {
    expect(["demo", "a/b:c.png", "", 3].map(fileName)).toEqual([
      "demo.png",
      "abc.png",
      "model.png",
      "model.png",
    ]);
  });
});

describe("marks", () => {
  it("are read for cells and for nodes; unknown ones are none", () => {
    const open = openBlock(3, { q: { mark: "changed" }, k: { mark: "new" }, v: { mark: "odd" } });
    const marks = canvasState({ open }).open?.nodes.map((node) => node.mark) ?? [];
    expect(marks.filter(Boolean)).toEqual(["changed", "new"]);
  });
});
