import { mark, type SelectMessage, tone } from "../shared/protocol";
import { flag, type Infer, list, maybe, number, object, text } from "../shared/shape";

const state = object({ id: number(), label: text });
export const compareState = object({
  shown: maybe(
    object({
      before: state,
      after: state,
      figures: list(object({ label: text, before: text, after: text, change: text, tone, tip: text })),
      /** Blocks and single modules in order: a name on each side where there is one. */
      columns: list(object({ before: maybe(text), after: maybe(text), mark, path: text })),
      /** What is different, a line each, as `surgery diff` says it. */
      changes: list(text),
      same: flag,
    }),
  ),
});
export type CompareState = Infer<typeof compareState>;
export type Shown = NonNullable<CompareState["shown"]>;
export type CompareMessage = SelectMessage | { type: "swap"; id: number } | { type: "close" };
