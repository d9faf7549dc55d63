// What the protocols of several panels have in common.
//
// Python and a panel say two things to each other: one state per panel (Python → browser, the synced
// trait `state`), and messages (browser → Python, `model.send`). Each panel's own are in its protocol.ts;
// `widgets/panels.py` is the other end.
import { flag, type Infer, list, maybeWord, number, object, text, word } from "./shape";

export const tone = word("none", "better", "worse");
export type Tone = Infer<typeof tone>;
export const mark = maybeWord("remove", "changed", "new");
export const ties = list(number());
export const edges = list(object({ source: text, target: text, residual: flag }));

/** How `paths` change the selection. `range` carries every path between the anchor and the pointer. */
export type SelectMode = "set" | "toggle" | "range";
export type SelectMessage = { type: "select"; paths: string[]; mode: SelectMode };
/** `T U M P A E`, `Escape`, `Ctrl-Z`, `Ctrl-Shift-Z`. */
export type KeyMessage = { type: "key"; key: string };
