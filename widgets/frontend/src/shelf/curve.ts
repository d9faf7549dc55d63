// Weights over depth: one number, or anchors evenly spaced with straight lines between; pure.
import type { Legend, Section } from "./protocol";

/** The value at a depth of 0 to 1. */
export function at(curve: number[], depth: number): number {
  const place = Math.min(1, Math.max(0, depth)) * (curve.length - 1);
  const left = Math.floor(place);
  const from = curve[left] ?? 0;
  return from + (place - left) * ((curve[left + 1] ?? from) - from);
}

/** The same curve with another number of anchors. */
export function resampled(curve: number[], count: number): number[] {
  return Array.from({ length: count }, (_, i) => rounded(at(curve, count > 1 ? i / (count - 1) : 0.5)));
}

/** What a slider spans: 0 to 1, and what the curve has beyond. */
export function extent(curve: number[]): [number, number] {
  return [Math.min(0, ...curve), Math.max(1, ...curve)];
}

/** A curve as typed, `0.5` or `0, 0.5, 1`; null where the text is none. */
export function readCurve(text: string): number[] | null {
  const parts = text
    .trim()
    .replace(/^\[|\]$/g, "")
    .split(/[\s,;]+/);
  const values = parts.filter(Boolean).map(Number);
  return values.length > 0 && values.every(Number.isFinite) ? values : null;
}

export function shownCurve(curve: number[]): string {
  return curve.map((value) => String(rounded(value))).join(", ");
}

export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Where a depth lies between the left of a section's first cell and the right of its last, in per cent. */
export function across(section: Section, depth: number): number {
  const count = section.labels.length;
  const first = section.depths[0] ?? 0;
  const last = section.depths[count - 1] ?? first;
  const part = last > first ? (depth - first) / (last - first) : 0;
  return (100 * (0.5 + part * (count - 1))) / Math.max(1, count);
}

/** How high a value lies in a band, 0 at the bottom to 100 at the top. */
export function height(value: number, [low, high]: [number, number]): number {
  return (100 * (value - low)) / (high - low);
}

/** The line of a curve over a section, as points of a square of 100; flat where depth means nothing. */
export function line(curve: number[], section: Section): string {
  const ends = extent(curve);
  const y = (depth: number) => rounded(100 - height(at(curve, depth), ends));
  const first = section.depths[0] ?? 0;
  const last = section.depths[section.depths.length - 1] ?? first;
  if (!(last > first)) return `0,${y(first)} 100,${y(first)}`;
  const inner = curve.map((_, i) => i / Math.max(1, curve.length - 1)).filter((d) => d > first && d < last);
  const points = [first, ...inner, last].map((d) => `${rounded(across(section, d))},${y(d)}`);
  return `0,${y(first)} ${points.join(" ")} 100,${y(last)}`;
}

/** Where a figure lies between the ends of the legend, 0 to 1. */
export function shade(value: number, legend: Legend): number {
  const above = value - legend.from;
  const range = legend.to - legend.from;
  if (!(range > 0)) return 0;
  if (legend.middle === null || legend.middle <= 0) return above / range;
  return Math.log1p(Math.max(0, above) / legend.middle) / Math.log1p(range / legend.middle);
}

export function pathOf(section: Section, place: number): string {
  return section.strip ? `${section.path}.${section.labels[place] ?? ""}` : section.path;
}

/** Which labels an axis has room for: every one, every second, fourth …; at most about `most`. */
export function stride(count: number, most: number): number {
  let step = 1;
  while (count / step > most) step *= 2;
  return step;
}
