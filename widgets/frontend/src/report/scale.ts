// Heights of bars: from zero, or logarithmic where a few would leave all others flat.
import type { Bars } from "./protocol";

export interface Placed {
  bar: Bars["bars"][number];
  /** Parts of the height, from the bottom: the bar's two ends, and those of its interval. */
  from: number;
  to: number;
  low: number;
  high: number;
  /** From 0 for the least to 1 for the most, for its colour. */
  score: number;
}

/** How many times the median the most must be for the scale to be logarithmic. */
const FAR = 12;

export function place(bars: Bars["bars"]): { placed: Placed[]; zero: number; logarithmic: boolean } {
  const known = bars.filter((bar) => Number.isFinite(bar.value));
  const values = known.map((bar) => bar.value).sort((a, b) => a - b);
  const middle = Math.abs(values[Math.floor(values.length / 2)] ?? 0);
  const most = Math.max(0, ...known.map((bar) => bar.value));
  const least = Math.min(0, ...known.map((bar) => bar.value));
  const logarithmic = middle > 0 && most > FAR * middle && least >= 0;
  const scaled = (value: number) => (logarithmic ? Math.log1p(Math.max(0, value) / middle) : value);
  const top = Math.max(...known.map((bar) => scaled(bar.value)), 0);
  const ends = known.flatMap((bar) => [scaled(bar.low), scaled(bar.high)]);
  // An interval wider than everything else is cut off rather than flattening the rest.
  const ceiling = Math.min(Math.max(top, ...ends), top > 0 ? 1.6 * top : Number.POSITIVE_INFINITY);
  const floor = Math.max(Math.min(0, scaled(least), ...ends), least < 0 ? 1.6 * least : -0.15 * ceiling);
  const span = ceiling - floor || 1;
  const part = (value: number) => Math.min(1, Math.max(0, (scaled(value) - floor) / span));
  const zero = part(0);
  const scores = top - Math.min(0, scaled(least)) || 1;
  const placed = known.map((bar) => ({
    bar,
    from: Math.min(zero, part(bar.value)),
    to: Math.max(zero, part(bar.value)),
    low: part(bar.low),
    high: part(bar.high),
    score: (scaled(bar.value) - Math.min(0, scaled(least))) / scores,
  }));
  return { placed, zero, logarithmic };
}
