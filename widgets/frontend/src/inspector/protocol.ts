import { tone } from "../shared/protocol";
import { anything, flag, type Infer, list, maybe, number, object, text, word } from "../shared/shape";

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
      /** The step as a line of a script. */
      script: text,
      error: maybe(object({ text, hint: text })),
    }),
  ),
  /** What helps to choose the values, as an image of its own. */
  chart: maybe(object({ title: text, svg: text })),
  /** The edits that are planned and not made, in order. */
  pending: maybe(
    object({
      rows: list(
        object({
          id: number(),
          label: text,
          operation: text,
          change: maybe(object({ text, tone })),
          error: maybe(text),
        }),
      ),
      together: maybe(object({ text, tone })),
      waiting: flag,
      can_apply: flag,
    }),
  ),
});
export type InspectorState = Infer<typeof inspectorState>;
export type VerbGroup = InspectorState["groups"][number];
export type Form = NonNullable<InspectorState["form"]>;
export type Field = Form["fields"][number];
export type Pending = NonNullable<InspectorState["pending"]>;
export type DryRun = NonNullable<InspectorState["dry_run"]>;
/** `numbers` fields send a list of numbers, or the text as typed where it is not one. */
export type InspectorMessage =
  | { type: "operation"; name: string }
  | { type: "field"; name: string; value: unknown }
  | { type: "apply" | "cancel" | "pend" }
  | { type: "pending_drop"; id: number | null }
  | { type: "pending_move"; id: number; to: number }
  | { type: "pending_edit"; id: number }
  | { type: "pending_apply"; evaluate: boolean };
