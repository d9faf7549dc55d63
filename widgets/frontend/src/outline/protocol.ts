import { type KeyMessage, mark, type SelectMessage, ties } from "../shared/protocol";
import { flag, type Infer, list, maybe, number, object, text } from "../shared/shape";

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
  /** Selections kept by a name, with the number of modules in each. */
  saved: list(object({ name: text, count: number() })),
});
export type OutlineState = Infer<typeof outlineState>;
export type OutlineRow = OutlineState["rows"][number];

export type OutlineMessage =
  | SelectMessage
  | KeyMessage
  | { type: "open"; path: string }
  | { type: "search"; text: string; submit: boolean }
  | { type: "keep" | "recall" | "forget"; name: string };
