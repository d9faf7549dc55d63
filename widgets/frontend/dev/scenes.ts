// Made-up states of the whole studio, one per situation worth looking at. All figures are invented.
import { cells, chain, openBlock, outlineRows, overviewNode } from "./blocks";

export interface Scene {
  topbar: object;
  outline: object;
  canvas: object;
  inspector: object;
  history: object;
  report: object;
}

const layer = (i: number) => `model.layers.${i}`;
const marks = { 6: "remove", 7: "remove" };

const topbar = {
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

const overview = {
  nodes: [
    overviewNode("embed", "card", "model.embed_tokens", "embed", "32.8 k", { ties: [1] }),
    overviewNode("layers", "strip", "model.layers", "layers", "10 alike", {
      cells: cells(10, marks, { 1: { adapted: true }, 8: { mark: "changed" } }),
    }),
    overviewNode("norm", "card", "model.norm", "norm"),
    overviewNode("head", "card", "lm_head", "lm_head", "tied ①", { ties: [1] }),
  ],
  edges: chain(["embed", "layers", "norm", "head"]),
};

const scoreOf = [1, 0.84, 0.63, 0.42, 0.33, 0.12, 0.02, 0.2, 0.54, 0.92];

const canvas = {
  breadcrumb: [
    { label: "model", path: "" },
    { label: "layers", path: "model.layers" },
    { label: "3", path: layer(3) },
  ],
  overview,
  ties: [
    { index: 1, ends: ["model.embed_tokens.weight", "lm_head.weight"], pending: false },
    { index: 2, ends: [layer(3), layer(4)], pending: true },
    { index: 3, ends: [layer(8), layer(9)], pending: false },
  ],
  open: openBlock(3, { q: { adapted: true }, k: { ties: [4] } }),
  selection: [layer(3), layer(4)],
  facts: {
    [`${layer(3)}.self_attn.v_proj`]: {
      title: "model.layers.3.self_attn.v_proj",
      lines: ["Linear 128 → 128 · float32 · 16.4 k own", "16.4 k MACs per token · stable rank 21"],
      note: "rank 16 here: agreement −0.2 ± 0.1 (measured)",
    },
    [layer(5)]: {
      title: "model.layers.5",
      lines: ["LlamaDecoderLayer · 262.4 k · alike: 9 others", "262 k MACs per token"],
      note: "removing it: agreement −1.9 ± 0.4 (measured)",
    },
  },
  alert: null,
  legend: { title: "Removal cost, ranked", low: "low", high: "high" },
  scores: {
    ...Object.fromEntries(scoreOf.map((score, i) => [layer(i), score])),
    [`${layer(3)}.self_attn.q_proj`]: 0.3,
    [`${layer(3)}.self_attn.k_proj`]: 0.1,
    [`${layer(3)}.self_attn.v_proj`]: 0.55,
    [`${layer(3)}.mlp.down_proj`]: 0.7,
  },
  empty: null,
};

const operations = (...names: string[]) =>
  names.map((name, i) => ({ name, title: name.replaceAll("_", " "), active: i === 0 }));
const group = (name: string, enabled: boolean, active: boolean, list: ReturnType<typeof operations>) => ({
  name,
  title: (name[0] ?? "").toUpperCase() + name.slice(1),
  enabled,
  reason: enabled ? null : "nothing selected is tied",
  active,
  operations: list,
});
const field = (name: string, kind: string, label: string, value: unknown, more: object = {}) => ({
  name,
  kind,
  label,
  help: "",
  value,
  choices: [],
  minimum: null,
  maximum: null,
  step: null,
  error: null,
  ...more,
});

const inspector = {
  title: "2 blocks",
  detail: "layers.3, layers.4",
  facts: [],
  groups: [
    group("tie", true, true, operations("tie", "tie_low_rank")),
    group("untie", false, false, operations("untie")),
    group("merge", true, false, operations("average", "slerp", "ties")),
    group("prune", true, false, operations("remove", "heads", "channels")),
    group("arrange", true, false, operations("move", "swap", "duplicate")),
    group("attach", true, false, operations("lora")),
    group("adjust", true, false, operations("cast", "freeze")),
  ],
  form: {
    operation: "tie",
    title: "Tie",
    summary: "The blocks share one set of weights; each keeps its place in the cache.",
    fields: [
      field("to", "path", "Keep", "model.layers.3", { choices: [{ value: layer(3), label: "3" }] }),
      field("start", "choice", "Start from", "first", {
        choices: [
          { value: "first", label: "its weights" },
          { value: "mean", label: "the mean of both" },
        ],
      }),
      field("own_norms", "flag", "Own norms", true, { help: "each block keeps its own" }),
      field("rank", "integer", "Own rank", 16, { minimum: 0, maximum: 64, step: 1 }),
    ],
    can_apply: true,
    apply_label: "Apply",
  },
  dry_run: {
    caption: "nothing is changed yet",
    rows: [
      { label: "Parameters", value: "−245.9 k (−9.3 %)", tone: "better" },
      { label: "Size", value: "−984 kB", tone: "better" },
      { label: "MACs, KV cache", value: "unchanged", tone: "none" },
    ],
    python: 's.tie("model.layers.4", to="model.layers.3", rank=16)',
    stale: false,
    error: null,
  },
};

const state = (
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
const history = {
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
const report = {
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

const outline = {
  rows: outlineRows(10, marks, { 3: [2], 4: [2], 8: [3], 9: [3] }),
  selection: [layer(3), layer(4)],
  search: "layers[3:5]",
  found: [layer(3), layer(4)],
  matches: 2,
  read_as: "**.layers[3:5]",
  search_error: null,
};

const demo: Scene = { topbar, outline, canvas, inspector, history, report };

const first: Scene = {
  topbar: {
    ...topbar,
    figures: [
      { label: "Parameters", before: "", after: "2.66 M", change: "", tone: "none", tip: "" },
      { label: "Size", before: "", after: "10.6 MB", change: "", tone: "none", tip: "" },
    ],
    can_undo: false,
    first_minute: [
      "Double-click block 3 to see inside it.",
      "Press E: two seconds tell what the model does now.",
      "Select blocks 8 and 9 with Ctrl, then press T to tie them.",
    ],
  },
  outline: {
    ...outline,
    rows: outlineRows(10, {}, {}),
    selection: [],
    search: "",
    found: [],
    matches: null,
    read_as: null,
  },
  canvas: {
    ...canvas,
    breadcrumb: [{ label: "model", path: "" }],
    overview: {
      ...overview,
      nodes: overview.nodes.map((n, i) => (i === 1 ? { ...n, cells: cells(10, {}) } : n)),
    },
    ties: canvas.ties.slice(0, 1),
    open: null,
    selection: [],
    legend: null,
    scores: null,
  },
  inspector: {
    ...inspector,
    title: "demo-decoder",
    detail: "",
    form: null,
    dry_run: null,
    facts: [
      { label: "Class", value: "LlamaForCausalLM" },
      { label: "Parameters", value: "2.66 M unique" },
      { label: "Ties", value: "1" },
    ],
    groups: inspector.groups.map((g) => ({
      ...g,
      enabled: false,
      active: false,
      reason: "select a block first",
    })),
  },
  history: { states: [state("0", null, "Original", "2.66 M", "", { current: true })], python: "" },
  report: {
    title: "Evaluation",
    sentence: null,
    rows: [],
    note: null,
    empty: "Nothing was measured yet. Press E.",
  },
};

const busy: Scene = {
  ...demo,
  topbar: {
    ...topbar,
    evaluating: { label: "Evaluating fidelity", fraction: 0.42 },
    saving: "Saving out",
    notice: { text: "Saved edits.surgery.json.", tone: "good", hint: "Replay it with surgery replay." },
  },
};

const wrong: Scene = {
  ...demo,
  topbar: {
    ...topbar,
    notice: { text: "model.layers.3: cannot be tied to lm_head.", tone: "bad", hint: "Try another block." },
  },
  outline: {
    ...outline,
    search: "layers[3",
    found: [],
    read_as: null,
    matches: null,
    search_error: "layers[3: the bracket is not closed.",
  },
  canvas: {
    ...canvas,
    alert: {
      path: `${layer(3)}.self_attn.k_proj`,
      text: "Widths differ: got 64, expected 128.",
      hint: "Tie the whole attention, or project k_proj first.",
    },
    overview: {
      ...overview,
      nodes: [
        ...overview.nodes.slice(0, 2),
        overviewNode(
          "moe",
          "card",
          "model.<img src=x onerror=alert(1)>",
          "<img src=x onerror=alert(1)>",
          "opaque",
          {
            opaque: "its routing reads values: torch cannot trace it without weights",
          },
        ),
        ...overview.nodes.slice(2),
      ],
      edges: chain(["embed", "layers", "moe", "norm", "head"]),
    },
  },
  inspector: {
    ...inspector,
    form: {
      ...inspector.form,
      can_apply: false,
      fields: inspector.form.fields.map((f) =>
        f.name === "rank" ? { ...f, value: 99, error: "at most 64" } : f,
      ),
    },
    dry_run: {
      caption: "",
      rows: [],
      python: "",
      stale: false,
      error: {
        text: "model.layers.3: widths differ; got 64, expected 128.",
        hint: "Tie blocks of the same shape.",
      },
    },
  },
};

const many: Scene = {
  ...demo,
  outline: {
    ...outline,
    rows: outlineRows(320, {}, {}),
    search: "",
    found: [],
    matches: null,
    read_as: null,
  },
  canvas: {
    ...canvas,
    open: null,
    ties: [
      { index: 1, ends: ["model.embed_tokens", "lm_head"], pending: false },
      ...Array.from({ length: 10 }, (_, i) => ({
        index: i + 2,
        ends: [layer(20 + 3 * i), layer(21 + 3 * i)],
        pending: false,
      })),
      { index: 12, ends: [layer(2), layer(9), layer(15)], pending: true },
    ],
    overview: {
      nodes: [
        overviewNode("embed", "card", "model.embed_tokens", "embed", "32.8 k"),
        overviewNode("strip", "strip", "model.layers", "layers", "", {
          cells: cells(80, { 40: "remove", 41: "remove", 12: "new" }, { 30: { adapted: true } }),
        }),
        overviewNode("mid", "card", "model.bridge", "bridge", "conv", { error: "its shape does not fit" }),
        overviewNode("strip2", "strip", "decoder.layers", "decoder", "", {
          cells: cells(6, {}).map((c) => ({ ...c, path: c.path.replace("model", "decoder") })),
        }),
        overviewNode("add", "join", "", "+"),
        overviewNode("head", "card", "lm_head", "lm_head", "tied ①"),
      ],
      edges: [
        ...chain(["embed", "strip", "mid", "strip2", "add", "head"]),
        { source: "embed", target: "add", residual: true },
      ],
    },
    scores: Object.fromEntries(Array.from({ length: 80 }, (_, i) => [layer(i), Math.abs(Math.cos(i / 14))])),
  },
};

export const scenes: Record<string, Scene> = { demo, first, busy, wrong, many };
