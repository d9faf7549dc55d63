// What advisers say: a bar per block, and a heat map of how alike blocks are.
import { demo } from "./decoder";
import type { Scene } from "./scene";

const tabs = [
  ["report", "Evaluation"],
  ["costs", "Costs"],
  ["layers", "Layers"],
  ["values", "Values"],
  ["speed", "Speed"],
  ["advice", "Advice"],
].map(([name, title]) => ({ name, title }));
const choices = [
  { name: "block_influence", title: "Block influence ✓" },
  { name: "similarity", title: "Similarity ✓" },
  { name: "snip", title: "SNIP" },
];
const INFLUENCE = [0.31, 0.061, 0.066, 0.092, 0.068, 0.07, 0.083, 0.081, 0.098, 0.18];
const path = (i: number) => `model.layers.${i}`;
const order = INFLUENCE.map((value, i) => ({ value, i })).sort((a, b) => a.value - b.value);

export const advised: Scene = {
  ...demo,
  report: {
    tab: "advice",
    tabs,
    title: "Advisers",
    rows: [],
    advice: {
      value: "block_influence",
      choices,
      about:
        "1 − E cos(x, f(x)), by how much each block turns its input: 0 for none, 2 for its opposite. Men et al. 2024 (ShortGPT), arXiv:2403.03853.",
      best: order.slice(0, 4).map(({ value, i }) => ({
        label: path(i),
        text: path(i),
        value: String(value),
        paths: [path(i)],
        act: { operation: "remove", title: "Remove", paths: [path(i)], tip: "prepared, for Apply to make" },
      })),
    },
    bars: {
      title: "block influence, lowest first: the cheapest to remove",
      bars: INFLUENCE.map((value, i) => ({
        path: path(i),
        label: String(i),
        value,
        low: value,
        high: value,
        text: `${path(i)}: ${value}`,
      })),
    },
    note: "Python's manual, held out: not your data; 40 windows, 2.1 s, cpu.",
    ask: { what: "advice", title: "Ask again" },
  },
};

const near = (a: number, b: number) => Math.round(1e4 * Math.exp(-0.12 * Math.abs(a - b) ** 1.2)) / 1e4;
const pairs = [
  [4, 5],
  [3, 4],
  [6, 7],
  [1, 2],
] as const;

export const alike: Scene = {
  ...demo,
  report: {
    ...advised.report,
    bars: null,
    advice: {
      value: "similarity",
      choices,
      about:
        "How alike what blocks or heads give is, each with each other: 1 for what differs by nothing. Kornblith et al. 2019 (CKA), arXiv:1905.00414.",
      best: pairs.map(([a, b]) => ({
        label: `${a} and ${b}`,
        text: `${path(a)} and ${path(b)}`,
        value: "0.887",
        paths: [path(a), path(b)],
        act: {
          operation: "tie",
          title: "Tie",
          paths: [path(a), path(b)],
          tip: "prepared, for Apply to make",
        },
      })),
    },
    matrix: {
      title: "similarity, highest first: the cheapest to tie",
      items: INFLUENCE.map((_, i) => ({ label: String(i), text: path(i), path: path(i) })),
      rows: INFLUENCE.map((_, a) => INFLUENCE.map((_, b) => (a === 9 && b === 2 ? "" : near(a, b)))),
      low: near(0, 9),
      high: near(0, 1),
      ends: ["0.187", "0.887"],
    },
  },
};
