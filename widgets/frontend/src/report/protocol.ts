import { tone } from "../shared/protocol";
import { type Infer, list, maybe, object, text } from "../shared/shape";

export const reportState = object({
  title: text,
  sentence: maybe(text),
  rows: list(object({ label: text, before: text, after: text, change: text, interval: text, tone })),
  note: maybe(text),
  empty: maybe(text),
});
export type ReportState = Infer<typeof reportState>;
