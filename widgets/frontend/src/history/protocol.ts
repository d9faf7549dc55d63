import { flag, type Infer, list, maybe, object, text } from "../shared/shape";

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
