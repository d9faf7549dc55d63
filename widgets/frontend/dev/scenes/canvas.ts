// The graph of the small decoder that the made-up states are about.
import { cells, chain, openBlock, overviewNode } from "../blocks";

export const layer = (i: number) => `model.layers.${i}`;
export const marks = { 6: "remove", 7: "remove" };

export const overview = {
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

export const canvas = {
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
