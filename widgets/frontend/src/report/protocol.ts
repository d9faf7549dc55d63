import { type SelectMessage, tone } from "../shared/protocol";
import { flag, type Infer, list, maybe, number, object, text, word } from "../shared/shape";

/** A position of the slider: the plan of the first so many edits. */
const rung = object({
  /** What fades on the graph. */
  paths: list(text),
  edits: list(text),
  share: text,
  amounts: text,
  value: number(),
  low: number(),
  high: number(),
  text,
  band: text,
  /** What the band stands on. */
  grounds: text,
  measured: maybe(number()),
  said: maybe(text),
  interaction: flag,
});
export type Rung = Infer<typeof rung>;
const budget = object({
  of: text,
  choices: list(object({ name: text, title: text })),
  name: text,
  unit: text,
  better: word("lower", "higher"),
  /** Where the slider was released last. */
  place: number(),
  /** What there is to be done for a band that holds; null where it does. */
  calibrate: maybe(text),
  measuring: flag,
  swept: text,
  rungs: list(rung),
});
export type Budget = Infer<typeof budget>;
const suggestion = object({
  words: text,
  saves: text,
  costs: text,
  why: list(text),
  paths: list(text),
  measured: flag,
});
export type Suggestion = Infer<typeof suggestion>;

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
          act: maybe(object({ operation: text, title: text, paths: list(text), tip: text })),
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
  budget: maybe(budget),
  suggestions: list(suggestion),
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
  | { type: "budget_of"; of: string }
  /** The slider was let go at so many edits. */
  | { type: "budget_release"; count: number }
  | { type: "budget_apply"; count: number }
  | { type: "budget_calibrate" }
  | { type: "suggestion_apply"; count: number }
  | { type: "adviser"; name: string }
  | { type: "act"; operation: string; paths: string[] };
