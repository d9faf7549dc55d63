import { flag, type Infer, list, maybe, number, object, text } from "../shared/shape";

export const historyState = object({
  /** In the order they were made; a parent comes before its children. */
  states: list(
    object({
      id: text,
      parent: maybe(text),
      label: text,
      parameters: text,
      /** What somebody called it, and what its step did; the label is one of the two. */
      name: maybe(text),
      step: text,
      metric: maybe(text),
      value: maybe(number()),
      current: flag,
      ahead: flag,
    }),
  ),
  python: text,
});
export type HistoryState = Infer<typeof historyState>;
export type HistoryNode = HistoryState["states"][number];
export type HistoryMessage =
  | { type: "goto" | "delete" | "compare"; id: string }
  | { type: "rename"; id: string; name: string };
