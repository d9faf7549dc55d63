// What stands around the graph in the made-up states. All figures are invented.
import { outlineRows } from "../blocks";
import { layer, marks } from "./canvas";

export const topbar = {
  name: "demo-decoder",
  detail: "Llama · 10 blocks · float32",
  figures: [
    {
      label: "Parameters",
      before: "2.66 M",
      after: "2.40 M",
      change: "−9.9 %",
      tone: "better",
      tip: "unique",
    },
    { label: "Size", before: "10.6 MB", after: "9.59 MB", change: "−9.9 %", tone: "better", tip: "on disk" },
    {
      label: "Agreement",
      before: "100 %",
      after: "93.4 %",
      change: "± 0.8",
      tone: "none",
      tip: "top-1, 95 %",
    },
    {
      label: "Perplexity",
      before: "3.46",
      after: "3.61",
      change: "+0.15 ± 0.04",
      tone: "worse",
      tip: "per byte",
    },
    {
      label: "Decode",
      before: "410 tok/s",
      after: "452 tok/s",
      change: "+10 %",
      tone: "better",
      tip: "batch 1",
    },
  ],
  device: "cpu",
  evaluating: null,
  saving: null,
  can_undo: true,
  can_redo: false,
  budget_s: 2,
  notice: null,
  save: { model_path: "out/demo-decoder", script_path: "edits.surgery.json" },
  first_minute: [],
};

export const state = (
  id: string,
  parent: string | null,
  label: string,
  parameters: string,
  metric: string,
  more = {},
) => ({
  id,
  parent,
  label,
  parameters,
  metric,
  current: false,
  ahead: false,
  ...more,
});
export const history = {
  states: [
    state("0", null, "Original", "2.66 M", "100 %"),
    state("1", "0", "tie 8 ↔ 9", "2.40 M", "96.8 %"),
    state("2", "1", "lora r 8 on 1", "2.40 M", "96.9 %", { current: true }),
    state("3", "1", "remove 6 – 7", "1.88 M", "88.1 %"),
    state("4", "3", "heal 90 s", "1.88 M", "93.0 %"),
    state("5", "2", "tie 2 ↔ 3", "2.15 M", "90.2 %", { ahead: true }),
  ],
  python:
    's.tie("model.layers.9", to="model.layers.8")\ns.attach("model.layers.1.**.{q,v}_proj", "lora", rank=8)',
};

const measure = (
  label: string,
  before: string,
  after: string,
  change: string,
  interval: string,
  tone: string,
) => ({
  label,
  before,
  after,
  change,
  interval,
  tone,
});
export const report = {
  title: "Evaluation",
  sentence: "93.4 % of next tokens are the same as before surgery.",
  rows: [
    measure("Agreement", "100 %", "93.4 %", "−6.6", "± 0.8", "worse"),
    measure("KL, nats", "0", "0.041", "+0.041", "± 0.006", "worse"),
    measure("Perplexity", "3.46", "3.61", "+0.15", "± 0.04", "worse"),
    measure("Size", "10.6 MB", "9.59 MB", "−9.9 %", "", "better"),
    measure("Decode", "410 tok/s", "452 tok/s", "+10 %", "± 3", "better"),
  ],
  note: "214 passages · 2.0 s",
  empty: null,
};

export const outline = {
  rows: outlineRows(10, marks, { 3: [2], 4: [2], 8: [3], 9: [3] }),
  selection: [layer(3), layer(4)],
  search: "layers[3:5]",
  found: [layer(3), layer(4)],
  matches: 2,
  read_as: "**.layers[3:5]",
  search_error: null,
};
