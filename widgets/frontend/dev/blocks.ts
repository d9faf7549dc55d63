// Parts of the made-up states: a small Llama, its inner flow, its outline.

const PARTS = [
  ["self_attn", "LlamaAttention", "65.5 k", 3],
  ["self_attn.q_proj", "Linear", "16.4 k", 4],
  ["self_attn.k_proj", "Linear", "16.4 k", 4],
  ["self_attn.v_proj", "Linear", "16.4 k", 4],
  ["self_attn.o_proj", "Linear", "16.4 k", 4],
  ["mlp", "LlamaMLP", "197 k", 3],
  ["mlp.gate_proj", "Linear", "65.5 k", 4],
  ["mlp.up_proj", "Linear", "65.5 k", 4],
  ["mlp.down_proj", "Linear", "65.5 k", 4],
  ["input_layernorm", "LlamaRMSNorm", "128", 3],
  ["post_attention_layernorm", "LlamaRMSNorm", "128", 3],
] as const;

const row = (path: string, class_name: string, depth: number, figure: string, more: object = {}) => ({
  path,
  title: path.split(".").at(-1) ?? path,
  class_name,
  depth,
  figure,
  ties: [] as number[],
  expandable: false,
  mark: null,
  ...more,
});

export function outlineRows(blocks: number, marks: Record<number, string>, ties: Record<number, number[]>) {
  const rows = [
    row("model", "LlamaModel", 0, "2.9 M", { expandable: true }),
    row("model.embed_tokens", "Embedding", 1, "32.8 k", { ties: [1] }),
    row("model.layers", "ModuleList", 1, `2.6 M ×${blocks}`, { expandable: true }),
  ];
  for (let i = 0; i < blocks; i++) {
    const path = `model.layers.${i}`;
    const more = { expandable: true, mark: marks[i] ?? null, ties: ties[i] ?? [] };
    rows.push(row(path, "LlamaDecoderLayer", 2, "262.4 k", more));
    for (const [part, class_name, figure, depth] of PARTS) {
      const expandable = part === "self_attn" || part === "mlp";
      rows.push(row(`${path}.${part}`, class_name, depth, figure, { expandable }));
    }
  }
  rows.push(row("model.norm", "LlamaRMSNorm", 1, "128"), row("lm_head", "Linear", 0, "tied", { ties: [1] }));
  return rows;
}

export function cells(blocks: number, marks: Record<number, string>, more: Record<number, object> = {}) {
  return Array.from({ length: blocks }, (_, i) => ({
    path: `model.layers.${i}`,
    label: String(i),
    ties: [],
    mark: marks[i] ?? null,
    adapted: false,
    ...more[i],
  }));
}

const node = (id: string, kind: string, path: string, title: string, subtitle = "", more: object = {}) => ({
  id,
  kind,
  path,
  title,
  subtitle,
  ties: [],
  adapted: false,
  error: null,
  ...more,
});

/** The flow inside one decoder block, as the tracer gives it. */
export function openBlock(index: number, more: Record<string, object> = {}) {
  const path = `model.layers.${index}`;
  const nodes = [
    node("in", "input", "", ""),
    node("norm1", "module", `${path}.input_layernorm`, "norm", "128"),
    node("q", "module", `${path}.self_attn.q_proj`, "q_proj", "4 heads", more.q),
    node("k", "module", `${path}.self_attn.k_proj`, "k_proj", "2 kv heads", more.k),
    node("v", "module", `${path}.self_attn.v_proj`, "v_proj", "2 kv heads", more.v),
    node("attn", "function", "", "attention", "sdpa"),
    node("o", "module", `${path}.self_attn.o_proj`, "o_proj", "16.4 k", more.o),
    node("add1", "join", "", "+"),
    node("norm2", "module", `${path}.post_attention_layernorm`, "norm", "128"),
    node("gate", "module", `${path}.mlp.gate_proj`, "gate", "65.5 k"),
    node("up", "module", `${path}.mlp.up_proj`, "up", "65.5 k"),
    node("mul", "join", "", "×"),
    node("down", "module", `${path}.mlp.down_proj`, "down", "65.5 k"),
    node("add2", "join", "", "+"),
    node("out", "output", "", ""),
  ];
  const wires: [string, string, boolean?][] = [
    ["in", "norm1"],
    ["norm1", "q"],
    ["norm1", "k"],
    ["norm1", "v"],
    ["q", "attn"],
    ["k", "attn"],
    ["v", "attn"],
    ["attn", "o"],
    ["o", "add1"],
    ["in", "add1", true],
    ["add1", "norm2"],
    ["norm2", "gate"],
    ["norm2", "up"],
    ["gate", "mul"],
    ["up", "mul"],
    ["mul", "down"],
    ["down", "add2"],
    ["add1", "add2", true],
    ["add2", "out"],
  ];
  return {
    path,
    title: `layers.${index}`,
    subtitle: "LlamaDecoderLayer · 262.4 k · alike: 9 others",
    nodes,
    edges: wires.map(([source, target, residual = false]) => ({ source, target, residual })),
  };
}

export const overviewNode = (
  id: string,
  kind: string,
  path: string,
  title: string,
  subtitle = "",
  more: object = {},
) => ({
  id,
  kind,
  path,
  title,
  subtitle,
  ties: [],
  opaque: null,
  error: null,
  cells: [],
  ...more,
});

export const chain = (ids: string[]) =>
  ids.slice(1).map((target, i) => ({ source: ids[i], target, residual: false }));
