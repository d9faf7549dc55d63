// The small decoder: amid work, first met, busy, and with something wrong.
import { cells, chain, outlineRows, overviewNode } from "../blocks";
import { canvas, layer, overview } from "./canvas";
import { inspector } from "./inspector";
import { history, outline, report, state, topbar } from "./panels";
import type { Scene } from "./scene";

export const demo: Scene = { topbar, outline, canvas, inspector, history, report };

export const first: Scene = {
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

export const busy: Scene = {
  ...demo,
  topbar: {
    ...topbar,
    evaluating: { label: "Evaluating fidelity", fraction: 0.42 },
    saving: "Saving out",
    notice: { text: "Saved edits.surgery.json.", tone: "good", hint: "Replay it with surgery replay." },
  },
};

export const wrong: Scene = {
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
