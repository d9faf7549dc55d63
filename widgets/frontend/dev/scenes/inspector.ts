// The operation that is being prepared in the made-up states.
import { layer } from "./canvas";

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

export const inspector = {
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
