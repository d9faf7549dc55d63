// Where the band and the points of a budget's chart lie: from the left by edits, from the bottom by the figure.
import type { Rung } from "./protocol";

export interface Trade {
  /** Percent from the left of the position after so many edits. */
  x: (place: number) => number;
  /** Percent from the bottom of a value, cut off at the edges. */
  y: (value: number) => number;
  logarithmic: boolean;
  low: number;
  high: number;
}

/** How many times the least the most must be for the scale to be logarithmic. */
const FAR = 8;
/** Room above and below. */
const ROOM = 6;

export function trade(rungs: readonly Rung[], better: "lower" | "higher"): Trade {
  const middles = rungs.flatMap((rung) => [rung.value, rung.measured ?? rung.value]);
  const least = Math.min(...middles);
  const most = Math.max(...middles);
  const lows = Math.min(...rungs.map((rung) => rung.low));
  const highs = Math.max(...rungs.map((rung) => rung.high));
  const logarithmic = better === "lower" && least > 0 && most / least > FAR;
  const at = (value: number) => (logarithmic ? Math.log(Math.max(value, least / 4)) : value);
  // A band much wider than what is expected is cut off rather than flattening the line in it.
  const span = at(most) - at(least) || Math.abs(at(most)) || 1;
  const low = Math.max(at(lows), at(least) - 0.6 * span);
  const high = Math.min(at(highs), at(most) + 0.6 * span);
  const height = high - low || 1;
  const y = (value: number) => ROOM + (100 - 2 * ROOM) * Math.min(1, Math.max(0, (at(value) - low) / height));
  const x = (place: number) => (rungs.length > 1 ? (100 * place) / (rungs.length - 1) : 0);
  return { x, y, logarithmic, low, high };
}

/** The band as the points of a polygon in a box of 100 by 100, from the top. */
export function outline(rungs: readonly Rung[], { x, y }: Trade): string {
  const above = rungs.map((rung, place) => `${x(place).toFixed(2)},${(100 - y(rung.high)).toFixed(2)}`);
  const below = rungs.map((rung, place) => `${x(place).toFixed(2)},${(100 - y(rung.low)).toFixed(2)}`);
  return [...above, ...below.reverse()].join(" ");
}

export function middle(rungs: readonly Rung[], { x, y }: Trade): string {
  return rungs.map((rung, place) => `${x(place).toFixed(2)},${(100 - y(rung.value)).toFixed(2)}`).join(" ");
}
