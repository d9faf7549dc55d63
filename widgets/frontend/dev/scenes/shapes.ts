// Models that are no plain decoder, as the tracer gives them: what lies beside what, and what ties them.
import { cells, openBlock, overviewNode } from "../blocks";
import { demo, first } from "./decoder";
import type { Scene } from "./scene";

type Node = ReturnType<typeof overviewNode>;
/** `a > b` is a wire, `a ~ b` one that goes round others. */
const wires = (...lines: string[]) =>
  lines.flatMap((line) => {
    const parts = line.split(/ ([>~]) /);
    return parts
      .slice(2)
      .flatMap((target, i) =>
        i % 2 === 0 ? [{ source: parts[i], target, residual: parts[i + 1] === "~" }] : [],
      );
  });
const card = (id: string, subtitle = "", title = id) => overviewNode(id, "card", id, title, subtitle);
const strip = (id: string, count: number, gives = "") =>
  overviewNode(`${id}[]`, "strip", id, gives ? `${id} · ${gives}` : id, `${count} blocks`, {
    cells: cells(count, {}).map((cell, i) => ({ ...cell, path: `${id}.${i}`, origin: `${id}.${i}` })),
  });
const input = overviewNode("input", "input", "", "input");
const output = overviewNode("output", "output", "", "output");

function shape(name: string, nodes: Node[], edges: object[], ties: string[][] = [], open?: object): Scene {
  const drawn = { nodes: [input, ...nodes, output], edges };
  const threads = ties.map((ends, i) => ({ index: i + 1, ends, pending: false }));
  const facts = {};
  return {
    ...demo,
    topbar: { ...first.topbar, name, detail: "" },
    outline: first.outline,
    canvas: { ...first.canvas, model: name, overview: drawn, ties: threads, facts, open: open ?? null },
    inspector: first.inspector,
    history: first.history,
    report: first.report,
  };
}

/** Two columns of embeddings whose first and last are tied, with a card between them. */
const encoderDecoder = shape(
  "encoder-decoder",
  [
    card("encoder.embed_tokens", "2.05 k"),
    card("encoder.embed_positions", "576"),
    card("encoder.layernorm_embedding", "64"),
    strip("encoder.layers", 2),
    card("decoder.embed_tokens", "2.05 k"),
    card("decoder.embed_positions", "576"),
    card("decoder.layernorm_embedding", "64"),
    strip("decoder.layers", 2),
    card("lm_head", "2.05 k"),
  ],
  wires(
    "input > encoder.embed_tokens > encoder.layernorm_embedding > encoder.layers[] > decoder.layers[]",
    "encoder.embed_positions > encoder.layernorm_embedding",
    "input > decoder.embed_tokens > decoder.layernorm_embedding > decoder.layers[] > lm_head > output",
    "decoder.embed_positions > decoder.layernorm_embedding",
  ),
  [
    ["encoder.embed_tokens", "decoder.embed_tokens", "lm_head"],
    ["encoder.embed_positions", "decoder.embed_positions"],
    ["encoder.layers.0", "decoder.layers.0"],
  ],
);

/** Three cards above each other of which the outer two are tied; a decoder with two heads. */
const towers = shape(
  "towers",
  [
    card("shared_image_embedding", "8"),
    card("patch_embed", "768"),
    strip("vision_encoder.layers", 2, "16 × 8 × 8"),
    card("neck", "8 × 8 × 8"),
    card("shared_embedding", "8"),
    strip("mask_decoder.transformer.layers", 2),
    card("final_attn_token_to_image", "1.10 k"),
    card("layer_norm_final_attn", "64"),
    card("upscale_conv1", "2 × 16 × 16"),
    card("upscale_conv2", "1 × 32 × 32"),
    strip("output_hypernetworks_mlps", 4),
    overviewNode("matmul", "function", "", "matmul"),
    card("iou_prediction_head", "108"),
  ],
  wires(
    "input > shared_image_embedding > mask_decoder.transformer.layers[]",
    "input > patch_embed > vision_encoder.layers[] > neck > mask_decoder.transformer.layers[]",
    "input > shared_embedding > mask_decoder.transformer.layers[] > final_attn_token_to_image",
    "shared_embedding ~ final_attn_token_to_image > layer_norm_final_attn",
    "shared_image_embedding ~ final_attn_token_to_image",
    "mask_decoder.transformer.layers[] ~ layer_norm_final_attn > output_hypernetworks_mlps[] > matmul",
    "mask_decoder.transformer.layers[] > upscale_conv1 > upscale_conv2 > matmul > output",
    "layer_norm_final_attn > iou_prediction_head > output",
  ),
  [["shared_image_embedding", "shared_embedding"]],
);

/** Down, through the middle, and up again, with what goes across. */
const skips = shape(
  "skips",
  [
    card("down.0", "4 × 16 × 16"),
    card("down.1", "8 × 8 × 8"),
    card("middle", "16 × 4 × 4"),
    card("rise.0", "8 × 8 × 8"),
    card("up.0", "8 × 8 × 8"),
    card("rise.1", "4 × 16 × 16"),
    card("up.1", "4 × 16 × 16"),
  ],
  wires(
    "input > down.0 > down.1 > middle > rise.0 > up.0 > rise.1 > up.1 > output",
    "down.1 ~ up.0",
    "down.0 ~ up.1",
  ),
);

/** Stages, each with its map. */
const stages = shape(
  "stages",
  [
    card("stem", "16 × 56 × 56"),
    strip("stage1", 3, "64 × 56 × 56"),
    strip("stage2", 4, "128 × 28 × 28"),
    strip("stage3", 6, "256 × 14 × 14"),
    strip("stage4", 3, "512 × 7 × 7"),
    card("head", "513 k"),
  ],
  wires("input > stem > stage1[] > stage2[] > stage3[] > stage4[] > head > output"),
);

/** A block with a router and a row of experts, opened. */
function opened(): object {
  const block = openBlock(0);
  const path = `${block.path}.experts`;
  const row = {
    ...strip(path, 8),
    id: "experts",
    title: "experts",
    adapted: false,
  };
  const gone = new Set(["gate", "up", "down"]);
  const router = block.nodes.find((node) => node.id === "gate");
  return {
    ...block,
    nodes: [
      ...block.nodes.filter((node) => !gone.has(node.id)),
      { ...router, id: "router", title: "router" },
      row,
    ],
    edges: [
      ...block.edges.filter((edge) => !gone.has(edge.source) && !gone.has(edge.target)),
      ...wires("norm2 > router > mul > add2", "norm2 > experts > mul"),
    ],
  };
}
const experts = shape(
  "experts",
  [
    card("model.embed_tokens", "2.05 k"),
    strip("model.layers", 8),
    card("model.norm", "32"),
    card("lm_head", "2.05 k"),
  ],
  wires("input > model.embed_tokens > model.layers[] > model.norm > lm_head > output"),
  [["model.embed_tokens", "lm_head"]],
  opened(),
);

export const shapes = { encoderDecoder, towers, skips, stages, experts };
