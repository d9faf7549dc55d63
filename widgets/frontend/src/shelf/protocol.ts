import { anything, flag, type Infer, list, maybe, number, object, text, word } from "../shared/shape";

const problem = maybe(object({ text, hint: maybe(text) }));
const named = list(object({ name: text, title: text }));
const curve = list(number());

export const shelfState = object({
  /** Nobody has asked for it yet. */
  hidden: flag,
  /** The cells of every row: a strip's are at its path with a label behind it, a card's at its own. */
  columns: list(object({ path: text, title: text, strip: flag, labels: list(text), depths: curve })),
  rows: list(
    object({
      alias: text,
      source: text,
      kind: word("checkpoint", "adapter"),
      status: word("reading", "ready", "refused"),
      text,
      hint: maybe(text),
      counts: flag,
      /** One number, or anchors from the first block to the last. */
      weight: curve,
      /** A figure per cell in the order of the columns, null where there is none; empty before comparing. */
      values: (value): (number | null)[] =>
        Array.isArray(value) ? value.map((item) => (Number.isFinite(item) ? (item as number) : null)) : [],
      reasons: list(text),
      /** Pairs of a cell that does not fit and its reason. */
      gaps: list(curve),
      /** Pairs of a cell and how many of its modules the adapter changes. */
      dots: list(curve),
    }),
  ),
  /** This model's own weight, where the method has one. */
  own: maybe(curve),
  weighted: flag,
  over_depth: flag,
  method: object({
    name: text,
    summary: text,
    options: named,
    fields: list(
      object({
        name: text,
        kind: word("text", "number", "integer", "choice", "flag"),
        label: text,
        help: text,
        value: anything,
        choices: list(text),
      }),
    ),
  }),
  where: object({ name: text, options: named }),
  presets: named,
  heat: object({
    figure: text,
    options: list(object({ name: text, title: text, off: flag })),
    legend: maybe(
      object({
        unit: text,
        low: text,
        high: text,
        from: number(),
        to: number(1),
        /** Colours are logarithmic around it, where a few cells lie far from all others. */
        middle: maybe(number()),
      }),
    ),
    running: maybe(object({ fraction: number(), label: text })),
    due: flag,
    problem,
  }),
  python: text,
  can_step: flag,
  problem,
  form: object({ added: number(), error: problem }),
  /** Adapters that `attach` makes. */
  kinds: list(object({ adapter: text, title: text })),
});
export type ShelfState = Infer<typeof shelfState>;
export type Row = ShelfState["rows"][number];
export type Section = ShelfState["columns"][number];
export type Legend = NonNullable<ShelfState["heat"]["legend"]>;
export type Field = ShelfState["method"]["fields"][number];

/** An empty `alias` is this model; an empty `path` an adapter as a whole. */
export type ShelfMessage =
  | { type: "add"; source: string; alias: string }
  | { type: "remove"; alias: string }
  | { type: "counts"; alias: string; on: boolean }
  | { type: "weight"; alias: string; values: number[] }
  | { type: "weight_at"; alias: string; path: string; value: number }
  | { type: "preset"; alias: string; name: string }
  | { type: "method" | "where" | "figure"; name: string }
  | { type: "field"; name: string; value: unknown }
  | { type: "adopt"; alias: string; path: string }
  | { type: "take"; card: Card }
  | { type: "compare" | "stop" | "prepare" | "try" };

/** What a drag from the shelf carries, as JSON text of this type. */
export const DRAG_TYPE = "application/x-model-surgery";
export type Card =
  | { kind: "block"; parent: string; path: string }
  | { kind: "adapter"; alias: string }
  | { kind: "operation"; name: string; values: Record<string, unknown> };
