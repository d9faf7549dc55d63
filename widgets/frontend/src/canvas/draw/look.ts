// How a scene is to look in this frame: colours, what is chosen, how much can be told at this zoom.
import { scoreColour } from "../../shared/palette";
import type { Measure } from "../scene";
import type { Theme } from "./theme";

/** Far: blocks of colour. Plain: boxes without a text. Near: everything. */
export type Detail = "far" | "plain" | "near";

export interface Look {
  theme: Theme;
  measure: Measure;
  selection: ReadonlySet<string>;
  hovered: string | null;
  scores: ReadonlyMap<string, number> | null;
  openPath: string | null;
  alertPath: string | null;
  /** Where what is dragged would land. */
  targetPath: string | null;
  /** What is being dragged: only half there. */
  lifted: readonly string[];
  /** What a plan would take, while a person chooses how much. */
  faded: ReadonlySet<string>;
  /** Screen pixels per world pixel. */
  zoom: number;
  /** Set by `drawScene` from how much is in view, unless everything is to be told at any cost. */
  detail: Detail;
  atAnyCost: boolean;
}

/** Under these zooms there is no room for a text that can be read. */
export const READABLE = { title: 0.42, small: 0.66 };
/** From here on a node is a speck, whose outline would be most of it. */
const FAR = 0.2;
/** More boxes than this in one frame cost too much each in full, and their texts too much together. */
const MOST_FULL = 600;
const MOST_PLAIN = 2500;

const FADED = 0.22;

/** How much of an item is to be seen. */
export function alphaOf(look: Look, path: string, alpha = 1): number {
  if (look.faded.has(path)) return FADED * alpha;
  return look.lifted.length > 0 && look.lifted.includes(path) ? 0.4 * alpha : alpha;
}

export function detailOf(zoom: number, boxes: number): Detail {
  if (zoom < FAR || boxes > MOST_PLAIN) return "far";
  return zoom < READABLE.title || boxes > MOST_FULL ? "plain" : "near";
}

const mixed = new Map<number, string>();

/** The colour of a score; mixing one is dearer than drawing it. */
export function colourOf(score: number): string {
  let colour = mixed.get(score);
  if (colour === undefined) {
    if (mixed.size > 20_000) mixed.clear();
    colour = scoreColour(score);
    mixed.set(score, colour);
  }
  return colour;
}
