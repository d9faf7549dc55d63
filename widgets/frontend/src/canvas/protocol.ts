import { edges, type KeyMessage, mark, type SelectMessage, ties } from "../shared/protocol";
import { flag, type Infer, list, maybe, number, object, record, text, word } from "../shared/shape";

/** `origin` stays when a path changes: after block 3 is gone, what was 4 is called 3. */
const cell = object({ path: text, origin: text, label: text, ties, mark, adapted: flag });
export const canvasState = object({
  /** Which model it is: another one is shown whole. */
  model: text,
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
        mark,
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
          kind: word("module", "strip", "join", "function", "input", "output"),
          path: text,
          title: text,
          subtitle: text,
          ties,
          adapted: flag,
          mark,
          opaque: maybe(text),
          error: maybe(text),
          /** Of a strip: a row of experts, or blocks inside the block. */
          cells: list(cell),
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
  /** What the colours are to be; empty for what was measured last. */
  colour: object({ value: text, choices: list(object({ name: text, title: text })) }),
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
  /** Dragged onto `target`: the selection, or one path that is not in it. */
  | { type: "drop"; sources: string[]; target: string }
  /** A thread's end was dragged off. */
  | { type: "untie"; paths: string[] }
  /** A card of another panel was dropped onto a node. */
  | { type: "card"; card: Record<string, unknown>; target: string }
  | { type: "sweep"; operation: string; budget_s: number }
  | { type: "take_best" }
  | { type: "run"; name: string };
