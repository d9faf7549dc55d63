import { describe, expect, it, vi } from "vitest";
import { placeStates } from "../src/history/lanes";
import { historyState } from "../src/history/protocol";
import { inspectorState } from "../src/inspector/protocol";
import { parsed, shown, sliderOf } from "../src/inspector/values";
import { shortcut } from "../src/shared/keys";
import { readSeconds } from "../src/shared/seconds";
import { debounce } from "../src/shared/ui";

const field = (more: object) =>
  inspectorState({ form: { fields: [{ name: "x", ...more }] } }).form?.fields[0] as never;

describe("fields", () => {
  it("read numbers, lists of numbers and text", () => {
    expect(parsed("integer", " 16 ")).toBe(16);
    expect(parsed("number", "0,5")).toBe(0.5);
    expect(parsed("number", "")).toBeNull();
    expect(parsed("number", "many")).toBe("many");
    expect(parsed("numbers", "1, 2 3")).toEqual([1, 2, 3]);
    expect(parsed("path", "a.b")).toBe("a.b");
  });

  it("show any value as text", () => {
    expect([shown(null), shown([1, 2]), shown(0), shown({ a: 1 })]).toEqual(["", "1, 2", "0", '{"a":1}']);
  });

  it("have a slider where both bounds are given", () => {
    expect(sliderOf(field({ kind: "integer", minimum: 0, maximum: 64 }))).toEqual({
      min: 0,
      max: 64,
      step: 1,
    });
    expect(sliderOf(field({ kind: "number", minimum: 0 }))).toBeNull();
    expect(sliderOf(field({ kind: "text", minimum: 0, maximum: 1 }))).toBeNull();
  });
});

describe("the history", () => {
  const state = (id: string, parent: string | null) => ({ id, parent, label: id });

  it("keeps a first child in its parent's lane and gives every other one its own", () => {
    const { states } = historyState({
      states: [state("0", null), state("1", "0"), state("2", "1"), state("3", "1"), state("4", "3")],
    });
    expect(placeStates(states).map((place) => [place.state.id, place.row, place.lane, place.reach])).toEqual([
      ["0", 0, 0, 0],
      ["1", 1, 0, 0],
      ["2", 2, 0, 1],
      ["3", 3, 1, 1],
      ["4", 4, 1, 1],
    ]);
  });
});

describe("keys and seconds", () => {
  const press = (key: string, more = {}) =>
    shortcut({ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...more });

  it("name the shortcuts that Python knows, and no others", () => {
    expect([press("t"), press("E"), press("Escape"), press("x"), press("ArrowUp")]).toEqual([
      "T",
      "E",
      "Escape",
      null,
      null,
    ]);
    expect(press("z", { ctrlKey: true })).toBe("Ctrl-Z");
    expect(press("Z", { metaKey: true, shiftKey: true })).toBe("Ctrl-Shift-Z");
    expect(press("t", { ctrlKey: true })).toBeNull();
    expect(press("t", { altKey: true })).toBeNull();
  });

  it("take a budget as typed, or not at all", () => {
    expect([readSeconds("2"), readSeconds(" 0,5 ")]).toEqual([2, 0.5]);
    expect([readSeconds(""), readSeconds("-1"), readSeconds("ten"), readSeconds("1e9")]).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });
});

describe("debouncing", () => {
  it("sends the last value once, and at once when flushed", () => {
    vi.useFakeTimers();
    const seen: number[] = [];
    const send = debounce((value: number) => seen.push(value), 150);
    send(1);
    send(2);
    vi.advanceTimersByTime(149);
    expect(seen).toEqual([]);
    send.flush();
    vi.advanceTimersByTime(1000);
    expect(seen).toEqual([2]);
    vi.useRealTimers();
  });
});
