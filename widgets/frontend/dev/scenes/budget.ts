// The small decoder with its budget open: a plan of three edits that was measured, and what to do next.
import { layer } from "./canvas";
import { demo } from "./decoder";
import type { Scene } from "./scene";

const order = [1, 2, 5, 8, 4, 9];
const losses = [3.46, 3.95, 4.62, 5.7, 7.9, 9.6, 13.2];

const rung = (count: number, more: object = {}) => {
  const value = losses[count] ?? 0;
  return {
    paths: order.slice(0, count).map(layer),
    edits: order.slice(0, count).map((block) => `remove ${block}`),
    share: count === 0 ? "0 %" : `−${(count * 9.8).toFixed(1)} %`,
    amounts: `2.66 M → ${(2.66 - 0.26 * count).toFixed(2)} M`,
    value,
    low: value * (1 - 0.05 * count),
    high: value * (1 + 0.08 * count),
    text: value.toFixed(2),
    band:
      count === 0
        ? ""
        : `${(value * (1 - 0.05 * count)).toFixed(2)} to ${(value * (1 + 0.08 * count)).toFixed(2)}`,
    grounds: count > 1 ? "90 % band, 12 plans measured" : "95 % interval, as measured",
    measured: null,
    said: null,
    interaction: false,
    ...more,
  };
};

export const budgetState = {
  of: "parameters",
  choices: [
    { name: "parameters", title: "parameters" },
    { name: "bytes", title: "bytes" },
    { name: "macs", title: "MACs" },
  ],
  name: "perplexity",
  unit: "",
  better: "lower",
  place: 3,
  calibrate: null,
  measuring: false,
  swept: "tie and remove",
  rungs: order.concat(0).map((_, count) =>
    count === 3
      ? rung(3, {
          measured: 7.6,
          said: "measured 7.60, +4.14 ± 0.31; interaction: together they cost more than the band",
          interaction: true,
        })
      : rung(count, count === 1 ? { measured: 3.95 } : {}),
  ),
};

export const suggestions = [
  {
    words: "remove 1",
    saves: "−262 k",
    costs: "perplexity +0.49 ± 0.09",
    why: ["Measured alone: perplexity 3.46 → 3.95.", "The best of 19 edits by what they cost."],
    paths: [layer(1)],
    measured: true,
  },
  {
    words: "tie 6 and 7",
    saves: "−262 k",
    costs: "not measured; weight similarity 0.91",
    why: ["Proposed by weight similarity: 0.91, rank 1 of 9."],
    paths: [layer(6), layer(7)],
    measured: false,
  },
];

export const budget: Scene = {
  ...demo,
  report: {
    ...demo.report,
    tab: "budget",
    tabs: ["Evaluation", "Costs", "Budget", "Layers", "Values", "Speed"].map((title) => ({
      name: title === "Budget" ? "budget" : title,
      title,
    })),
    title: "Budget",
    sentence: null,
    rows: [],
    note: "Suggestions are ranked by what they cost for the parameters they save.",
    budget: budgetState,
    suggestions,
  },
};
