// A decoder of eighty blocks with another strip behind it, and many ties.
import { cells, chain, outlineRows, overviewNode } from "../blocks";
import { canvas, layer } from "./canvas";
import { demo } from "./decoder";
import { outline } from "./panels";
import type { Scene } from "./scene";

export const many: Scene = {
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
