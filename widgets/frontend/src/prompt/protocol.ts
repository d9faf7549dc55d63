import { flag, type Infer, list, maybe, number, object, text, word } from "../shared/shape";

const side = word("original", "edited");
export const promptState = object({
  open: flag,
  /** Why nothing can be asked here. */
  reason: maybe(text),
  /** What the model takes: text or token ids, or images; and how many examples its data have. */
  takes: word("text", "ids", "image"),
  examples: number(),
  writes: flag,
  prompt: text,
  example: maybe(number()),
  tokens: number(64),
  temperature: number(),
  seed: number(),
  running: flag,
  /** What was asked, in words; null before anything was. */
  asked: maybe(text),
  columns: list(
    object({
      side,
      title: text,
      /** `level` is the tint, from 0 to 4; `breaks`: a line ends here. */
      tokens: list(object({ text, level: number(), tip: text, breaks: flag })),
    }),
  ),
  /** The first position at which the two texts differ. */
  divergence: maybe(number()),
  /** Classes, or neighbours: of both models a text, and the part of a bar from 0 to 1. */
  rows: list(object({ name: text, before: text, after: text, from: number(), to: number(), rank: text })),
  rows_title: text,
  legend: list(text),
  sentence: maybe(text),
  notes: list(text),
  /** The answers are of another state than is shown. */
  stale: flag,
  /** The token that the blame is about, or is being sought for. */
  chosen: maybe(object({ side, position: number() })),
  /** A bar per step, from −1 to 1; `refused` where it cannot be reverted alone. */
  blame: maybe(
    object({
      title: text,
      sentence: text,
      steps: list(
        object({
          number: number(),
          words: text,
          part: number(),
          figure: text,
          gain: text,
          refused: maybe(text),
        }),
      ),
    }),
  ),
});
export type PromptState = Infer<typeof promptState>;
export type Column = PromptState["columns"][number];
export type Side = Column["side"];
export type Blame = NonNullable<PromptState["blame"]>;

/** What is asked; an image as base64 of its file. */
export interface Asked {
  prompt: string;
  tokens: number;
  temperature: number;
  seed: number;
  example: number | null;
  image: { name: string; data: string } | null;
}
export type PromptMessage =
  | ({ type: "ask" } & Asked)
  | { type: "blame"; side: Side; position: number }
  | { type: "stop" | "close" };
