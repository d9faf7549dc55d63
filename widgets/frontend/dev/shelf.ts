// Made-up states of the parents' shelf. All figures are invented.
import { shelfState } from "../src/shelf/protocol";

const layers = (count: number) => ({
  path: "model.layers",
  title: "layers",
  strip: true,
  labels: Array.from({ length: count }, (_, i) => String(i)),
  depths: Array.from({ length: count }, (_, i) => i / (count - 1)),
});
const card = (path: string, depth: number) => ({
  path,
  title: path.split(".").pop(),
  strip: false,
  labels: [path.split(".").pop()],
  depths: [depth],
});
const columns = (count: number) => [card("model.embed_tokens", 0), layers(count), card("model.norm", 1)];
const wave = (count: number, phase: number) =>
  Array.from({ length: count + 2 }, (_, i) => 0.012 + 0.03 * Math.abs(Math.sin(i / 6 + phase)));

const row = (alias: string, more: object) => ({
  alias,
  source: `/models/${alias}`,
  kind: "checkpoint",
  status: "ready",
  text: "fits everywhere",
  hint: null,
  counts: true,
  weight: [0.33],
  values: [],
  reasons: [],
  gaps: [],
  dots: [],
  ...more,
});

const named = (...pairs: [string, string][]) => pairs.map(([name, title]) => ({ name, title }));

const base = {
  own: null,
  weighted: true,
  over_depth: true,
  method: {
    name: "task_arithmetic",
    summary:
      "Each tensor is θ₀ + λ Σ wᵢ (θᵢ − θ₀), with this model as θ₀; a negative weight unlearns a task.",
    options: named(
      ["merge", "Merge"],
      ["soup", "Soup"],
      ["task_arithmetic", "Task arithmetic"],
      ["ties", "TIES"],
      ["dare", "DARE"],
      ["slerp", "SLERP"],
      ["adopt", "Adopt adapters"],
    ),
    fields: [
      { name: "only", kind: "text", label: "Only", help: "only tensors whose path has these", value: "" },
      {
        name: "statistics",
        kind: "choice",
        label: "Statistics",
        help: "running statistics",
        value: "refuse",
        choices: ["refuse", "keep", "average", "parents"],
      },
      {
        name: "vocabulary",
        kind: "choice",
        label: "Vocabulary",
        help: "rows of tokens",
        value: "same",
        choices: ["same", "matched"],
      },
      { name: "scale", kind: "text", label: "Scale", help: "the factor of the whole addition", value: "1" },
      { name: "normalize", kind: "flag", label: "Normalize", help: "divide by the sum", value: false },
    ],
  },
  where: {
    name: "all",
    options: named(["all", "the whole model"], ["blocks", "the blocks"], ["fit", "where all fit"]),
  },
  presets: named(
    ["even", "Even"],
    ["none", "Only this model"],
    ["whole", "Only this parent"],
    ["up", "Ramp up"],
    ["down", "Ramp down"],
    ["middle", "Middle out"],
  ),
  heat: {
    figure: "moved",
    options: [
      { name: "moved", title: "Distance", off: false },
      { name: "cosine", title: "Cosine", off: false },
      { name: "conflicts", title: "Sign conflicts", off: false },
    ],
    legend: { unit: "of the norm", low: "0 %", high: "4.2 %", from: 0, to: 0.042, middle: null },
    running: null,
    due: false,
    problem: null,
  },
  python:
    's.task_arithmetic("", parents=["maths=/models/maths", "code=/models/code"], weights=(0.33, (0.0, 0.6, 0.2)))',
  can_step: true,
  problem: null,
  form: { added: 2, error: null },
  kinds: [{ adapter: "lora", title: "LoRA" }],
};

const two = [
  row("maths", { values: wave(28, 0) }),
  row("code", { values: wave(28, 2), weight: [0, 0.6, 0.2] }),
];

export const shelves: Record<string, object> = {
  empty: { ...base, columns: columns(28), rows: [], python: "", can_step: false, form: { added: 0 } },
  two: { ...base, columns: columns(28), rows: two },
  own: {
    ...base,
    columns: columns(28),
    rows: two,
    own: [0.67, 0.07, 0.47],
    method: { ...base.method, name: "merge" },
  },
  adapter: {
    ...base,
    columns: columns(28),
    over_depth: false,
    method: { ...base.method, name: "adopt", fields: [] },
    rows: [
      row("style", {
        kind: "adapter",
        text: "56 modules adapted",
        weight: [0.8],
        values: wave(28, 1).map((value, i) => (i % 2 ? value / 3 : 0)),
        dots: Array.from({ length: 14 }, (_, i) => [2 * i + 1, 4]),
      }),
      row("maths", { values: wave(28, 0) }),
    ],
    python: 's.adopt(parents=["style=/models/style"], weights=(0.8,))',
  },
  wrong: {
    ...base,
    columns: columns(28),
    rows: [
      row("shorter", {
        text: "24 of 30 parts fit; model.layers.22: this parent lacks the tensor; got /models/shorter.",
        values: wave(28, 0).map((value, i) => (i > 22 && i < 29 ? null : value)),
        reasons: ["this parent lacks the tensor; got /models/shorter."],
        gaps: [0, 1, 2, 3, 4, 5].map((i) => [23 + i, 0]),
      }),
      row("pickle", {
        status: "refused",
        text: "/models/pickle/pytorch_model.bin: holds a pickle, which is never loaded; expected model.safetensors.",
        hint: "converting it with `save_pretrained`",
      }),
      row("far_away", {
        status: "reading",
        text: "reading hf://somebody/far-away …",
        source: "hf://somebody/far-away",
      }),
    ],
    where: { ...base.where, name: "fit" },
    heat: { ...base.heat, legend: null, running: { fraction: 0.42, label: "model.layers.11.mlp.up_proj" } },
    problem: { text: "slerp merges with one parent; got 2.", hint: "another method" },
    can_step: false,
    form: {
      added: 3,
      error: { text: "code: there is a parent of this name already.", hint: "another name" },
    },
  },
  many: {
    ...base,
    columns: columns(80),
    rows: [row("maths", { values: wave(80, 0), weight: [0, 1] }), row("code", { values: wave(80, 2) })],
  },
};

/** The state as the panel reads it: a scene that leaves something out still draws. */
export const shelf = (name: string) => shelfState(shelves[name] ?? shelves.two);
