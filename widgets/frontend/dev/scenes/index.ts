// Made-up states of the whole studio, one per situation worth looking at. All figures are invented.
import { advised, alike } from "./advised";
import { budget } from "./budget";
import { busy, demo, first, wrong } from "./decoder";
import { many } from "./many";
import { prompts } from "./prompt";
import type { Scene } from "./scene";
import { shapes } from "./shapes";

export type { Scene } from "./scene";
export const scenes: Record<string, Scene> = {
  demo,
  budget,
  first,
  busy,
  wrong,
  many,
  advised,
  alike,
  ...prompts,
  ...shapes,
};
