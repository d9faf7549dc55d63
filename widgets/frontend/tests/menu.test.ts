import { describe, expect, it } from "vitest";
import { lineage } from "../src/history/lanes";
import { historyState } from "../src/history/protocol";
import { sparkline } from "../src/history/sparkline";
import { type Command, menuState } from "../src/menu/protocol";
import { found, offered } from "../src/menu/search";

const command = (title: string, more: Partial<Command> = {}) => ({
  name: title,
  title,
  group: "Prune",
  ...more,
});
const commands = menuState({
  commands: [
    command("Keep", { summary: "Only the targets stay" }),
    command("Remove", { key: "P" }),
    command("Recalibrate", { group: "Adjust", reason: "nothing selected has running statistics" }),
    command("Undo", { about: "studio" }),
  ],
}).commands;

describe("the palette", () => {
  it("puts the beginning of a title before its middle, and what can be run before the rest", () => {
    expect(found(commands, "re").map((item) => item.title)).toEqual(["Remove", "Recalibrate"]);
    expect(found(commands, "ec").map((item) => item.title)).toEqual(["Recalibrate"]);
  });
  it("finds groups and summaries, and every word must be found", () => {
    expect(found(commands, "prune stay").map((item) => item.title)).toEqual(["Keep"]);
    expect(found(commands, "prune nowhere")).toEqual([]);
  });
  it("shows all while nothing is typed", () => expect(found(commands, "  ")).toHaveLength(4));
});

describe("the menu at a node", () => {
  it("offers what fits the selection, a few of each group", () => {
    expect(offered(commands, 1)).toEqual([{ group: "Prune", commands: [commands[0]] }]);
  });
});

describe("the history", () => {
  const { states } = historyState({
    states: [
      { id: "0", value: 2 },
      { id: "1", parent: "0", value: 4 },
      { id: "2", parent: "0", value: 3, current: true },
      { id: "3", parent: "2", value: null },
    ],
  });
  it("knows what the current state stands on", () => expect([...lineage(states)].sort()).toEqual(["0", "2"]));
  it("draws the measured states from low to high", () => {
    const [first, second, third] = sparkline(states);
    expect(sparkline(states)).toHaveLength(3);
    expect(first?.y).toBeGreaterThan(third?.y ?? 0);
    expect(second?.y).toBeLessThan(third?.y ?? 0);
    expect(third?.current).toBe(true);
  });
  it("draws nothing of one", () => expect(sparkline(states.slice(0, 1))).toEqual([]));
});
