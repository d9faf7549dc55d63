import { type SelectMessage, tone } from "../shared/protocol";
import { type Infer, list, maybe, number, object, text } from "../shared/shape";

export const reportState = object({
  tab: text,
  tabs: list(object({ name: text, title: text })),
  title: text,
  sentence: maybe(text),
  rows: list(object({ label: text, before: text, after: text, change: text, interval: text, tone })),
  note: maybe(text),
  empty: maybe(text),
  /** A bar per block, with its interval. */
  bars: maybe(
    object({
      title: text,
      bars: list(object({ path: text, label: text, value: number(), low: number(), high: number(), text })),
    }),
  ),
  histograms: list(
    object({
      title: text,
      low: text,
      high: text,
      /** Where zero lies between the two, from 0 to 1. */
      zero: maybe(number()),
      counts: list(number()),
      lines: list(text),
    }),
  ),
  /** What can be measured for this tab. */
  ask: maybe(object({ what: text, title: text })),
});
export type ReportState = Infer<typeof reportState>;
export type Bars = NonNullable<ReportState["bars"]>;
export type Histogram = ReportState["histograms"][number];
export type ReportMessage = SelectMessage | { type: "tab"; name: string } | { type: "measure"; what: string };
