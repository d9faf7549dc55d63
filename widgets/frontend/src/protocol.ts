// What Python and the panels say to each other: one state per panel (Python → browser, the synced
// trait `state`), and messages (browser → Python, `model.send`). `widgets/panels.py` is the other end.
import {
  anything,
  flag,
  type Infer,
  list,
  maybe,
  maybeWord,
  number,
  object,
  record,
  text,
  word,
} from "./shared/shape";

const tone = word("none", "better", "worse");
const mark = maybeWord("remove", "changed", "new");
const ties = list(number());
const edges = list(object({ source: text, target: text, residual: flag }));

// ---------------------------------------------------------------- top bar

export const topbarState = object({
  name: text,
  detail: text,
  figures: list(object({ label: text, before: text, after: text, change: text, tone, tip: text })),
  device: text,
  /** `fraction` null: how long is not known. It can be stopped; what is being saved cannot. */
  evaluating: maybe(object({ label: text, fraction: maybe(number()) })),
  saving: maybe(text),
  can_undo: flag,
  can_redo: flag,
  budget_s: number(2),
  notice: maybe(object({ text, tone: word("good", "bad", "note"), hint: text })),
  save: object({ model_path: text, script_path: text }),
  /** Things to try, shown at the first open. */
  first_minute: list(text),
});
export type TopbarState = Infer<typeof topbarState>;
export type Figure = TopbarState["figures"][number];
export type TopbarMessage =
  | { type: "evaluate"; budget_s: number }
  | { type: "stop" | "undo" | "redo" | "dismiss" }
  | { type: "save_script"; path: string }
  | { type: "save_model"; path: string; overwrite: boolean };

// ---------------------------------------------------------------- outline

export const outlineState = object({
  /** The whole tree in tree order; folding happens in the browser. */
  rows: list(
    object({
      path: text,
      title: text,
      class_name: text,
      depth: number(),
      figure: text,
      ties,
      expandable: flag,
      mark,
    }),
  ),
  selection: list(text),
  search: text,
  /** What the search matches, and how many; marked, and selected only on Enter. */
  found: list(text),
  matches: maybe(number()),
  /** The selector the search was taken for, where that is not its text. */
  read_as: maybe(text),
  search_error: maybe(text),
});
export type OutlineState = Infer<typeof outlineState>;
export type OutlineRow = OutlineState["rows"][number];

/** How `paths` change the selection. `range` carries every path between the anchor and the pointer. */
export type SelectMode = "set" | "toggle" | "range";
export type SelectMessage = { type: "select"; paths: string[]; mode: SelectMode };
/** `T U M P A E`, `Escape`, `Ctrl-Z`, `Ctrl-Shift-Z`. */
export type KeyMessage = { type: "key"; key: string };
export type OutlineMessage =
  | SelectMessage
  | KeyMessage
  | { type: "open"; path: string }
  | { type: "search"; text: string; submit: boolean };

// ---------------------------------------------------------------- canvas

const cell = object({ path: text, label: text, ties, mark, adapted: flag });
export const canvasState = object({
  breadcrumb: list(object({ label: text, path: text })),
  overview: object({
    nodes: list(
      object({
        id: text,
        kind: word("card", "strip", "join", "function", "input", "output"),
        path: text,
        title: text,
        subtitle: text,
        ties,
        opaque: maybe(text),
        error: maybe(text),
        cells: list(cell),
      }),
    ),
    edges,
  }),
  ties: list(object({ index: number(), ends: list(text), pending: flag })),
  open: maybe(
    object({
      path: text,
      title: text,
      subtitle: text,
      nodes: list(
        object({
          id: text,
          kind: word("module", "join", "function", "input", "output"),
          path: text,
          title: text,
          subtitle: text,
          ties,
          adapted: flag,
          opaque: maybe(text),
          error: maybe(text),
        }),
      ),
      edges,
    }),
  ),
  selection: list(text),
  facts: record(object({ title: text, lines: list(text), note: maybe(text) })),
  alert: maybe(object({ path: text, text, hint: text })),
  legend: maybe(object({ title: text, low: text, high: text })),
  scores: maybe(record(number())),
  /** What each block would cost: what may be tried at each, and the best of the last sweep in words. */
  ask: maybe(
    object({
      operations: list(object({ name: text, title: text })),
      operation: text,
      budget_s: number(10),
      running: flag,
      best: maybe(text),
    }),
  ),
  empty: maybe(text),
});
export type CanvasState = Infer<typeof canvasState>;
export type OverviewNode = CanvasState["overview"]["nodes"][number];
export type Cell = OverviewNode["cells"][number];
export type OpenBlock = NonNullable<CanvasState["open"]>;
export type OpenNode = OpenBlock["nodes"][number];
export type FlowEdge = OpenBlock["edges"][number];
export type Ask = NonNullable<CanvasState["ask"]>;
export type TieState = CanvasState["ties"][number];
/** `open` with null folds the opened block. */
export type CanvasMessage =
  | SelectMessage
  | KeyMessage
  | { type: "open"; path: string | null }
  | { type: "sweep"; operation: string; budget_s: number }
  | { type: "take_best" };

// ---------------------------------------------------------------- inspector

export const inspectorState = object({
  title: text,
  detail: text,
  facts: list(object({ label: text, value: text })),
  groups: list(
    object({
      name: word("tie", "untie", "merge", "prune", "arrange", "attach", "adjust"),
      title: text,
      enabled: flag,
      reason: maybe(text),
      active: flag,
      operations: list(object({ name: text, title: text, active: flag })),
    }),
  ),
  form: maybe(
    object({
      operation: text,
      title: text,
      summary: text,
      fields: list(
        object({
          name: text,
          kind: word("text", "path", "number", "integer", "choice", "flag", "numbers"),
          label: text,
          help: text,
          value: anything,
          choices: list(object({ value: anything, label: text })),
          minimum: maybe(number()),
          maximum: maybe(number()),
          step: maybe(number()),
          error: maybe(text),
        }),
      ),
      can_apply: flag,
      apply_label: text,
    }),
  ),
  dry_run: maybe(
    object({
      caption: text,
      /** The figures are those of other values; new ones are being computed. */
      stale: flag,
      rows: list(object({ label: text, value: text, tone })),
      python: text,
      error: maybe(object({ text, hint: text })),
    }),
  ),
});
export type InspectorState = Infer<typeof inspectorState>;
export type VerbGroup = InspectorState["groups"][number];
export type Form = NonNullable<InspectorState["form"]>;
export type Field = Form["fields"][number];
export type DryRun = NonNullable<InspectorState["dry_run"]>;
/** `numbers` fields send a list of numbers, or the text as typed where it is not one. */
export type InspectorMessage =
  | { type: "operation"; name: string }
  | { type: "field"; name: string; value: unknown }
  | { type: "apply" | "cancel" };

// ---------------------------------------------------------------- history and report

export const historyState = object({
  /** In the order they were made; a parent comes before its children. */
  states: list(
    object({
      id: text,
      parent: maybe(text),
      label: text,
      parameters: text,
      metric: maybe(text),
      current: flag,
      ahead: flag,
    }),
  ),
  python: text,
});
export type HistoryState = Infer<typeof historyState>;
export type HistoryNode = HistoryState["states"][number];
export type HistoryMessage = { type: "goto"; id: string };

export const reportState = object({
  title: text,
  sentence: maybe(text),
  rows: list(object({ label: text, before: text, after: text, change: text, interval: text, tone })),
  note: maybe(text),
  empty: maybe(text),
});
export type ReportState = Infer<typeof reportState>;
export type Tone = Infer<typeof tone>;
