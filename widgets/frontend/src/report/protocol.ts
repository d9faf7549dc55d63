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
      bars: list(
        object({
          path: text,
          label: text,
          value: number(),
          low: number(),
          high: number(),
          /** Its colour, from 0 to 1, where that is not told by its height. */
          score: maybe(number()),
          text,
        }),
      ),
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
  /** Who is asked, of whom, and what comes first in the ranking. */
  advice: maybe(
    object({
      value: text,
      choices: list(object({ name: text, title: text })),
      about: text,
      best: list(
        object({
          label: text,
          text,
          value: text,
          paths: list(text),
          act: maybe(object({ operation: text, title: text, paths: list(text) })),
        }),
      ),
    }),
  ),
  /** A number per pair of items, NaN where there is none. */
  matrix: maybe(
    object({
      title: text,
      items: list(object({ label: text, text, path: text })),
      rows: list(list(number(Number.NaN))),
      low: number(),
      high: number(),
      ends: list(text),
    }),
  ),
  /** What can be measured for this tab. */
  ask: maybe(object({ what: text, title: text })),
});
export type ReportState = Infer<typeof reportState>;
export type Bars = NonNullable<ReportState["bars"]>;
export type Histogram = ReportState["histograms"][number];
export type Advice = NonNullable<ReportState["advice"]>;
export type Matrix = NonNullable<ReportState["matrix"]>;
export type ReportMessage =
  | SelectMessage
  | { type: "tab"; name: string }
  | { type: "measure"; what: string }
  | { type: "adviser"; name: string }
  | { type: "act"; operation: string; paths: string[] };
