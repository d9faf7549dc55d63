import { tone } from "../shared/protocol";
import { flag, type Infer, list, maybe, number, object, text, word } from "../shared/shape";

export const topbarState = object({
  name: text,
  detail: text,
  figures: list(object({ label: text, before: text, after: text, change: text, tone, tip: text })),
  /** Whether the parents' shelf is there. */
  shelf: flag,
  /** Whether the prompt bench is there. */
  bench: flag,
  device: text,
  /** `fraction` null: how long is not known. It can be stopped; what is being saved cannot. */
  evaluating: maybe(object({ label: text, fraction: maybe(number()) })),
  saving: maybe(text),
  can_undo: flag,
  can_redo: flag,
  budget_s: number(2),
  notice: maybe(object({ text, tone: word("good", "bad", "note"), hint: text })),
  /** Steps that another process left behind for this model. */
  restore: maybe(object({ count: number(), when: text, steps: text })),
  save: object({ model_path: text, script_path: text, report_path: text, picture_path: text }),
  /** Things to try, shown at the first open. */
  first_minute: list(text),
});
export type TopbarState = Infer<typeof topbarState>;
export type Figure = TopbarState["figures"][number];
export type TopbarMessage =
  | { type: "evaluate"; budget_s: number }
  | { type: "stop" | "undo" | "redo" | "dismiss" | "browse" }
  | { type: "restore"; restore: boolean }
  | { type: "run"; name: string }
  | { type: "save_script" | "save_report" | "save_picture"; path: string }
  | { type: "save_model"; path: string; overwrite: boolean };
