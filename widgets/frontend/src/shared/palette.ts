// Colours that are data. The neutral ones live in styles/tokens.css.

/** Okabe-Ito, in the order that tie groups take them; always beside a number. */
const TIE_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"] as const;

/** Twelve stops of cividis, dark (low) to light (high). */
export const CIVIDIS = [
  "#00204d",
  "#00306f",
  "#2a406c",
  "#48526b",
  "#5e626e",
  "#727374",
  "#878479",
  "#9e9677",
  "#b6a971",
  "#d0be67",
  "#ead357",
  "#ffea46",
] as const;

/** Colour of tie `index`, counted from 1; they repeat after six, hence the numbers. */
export function tieColour(index: number): string {
  const count = TIE_COLOURS.length;
  return TIE_COLOURS[(((Math.round(index) - 1) % count) + count) % count] ?? TIE_COLOURS[0];
}

/** A score of 0 to 1 as a colour of cividis; what lies outside is clamped. */
export function scoreColour(score: number): string {
  const place = Math.min(1, Math.max(0, Number.isFinite(score) ? score : 0)) * (CIVIDIS.length - 1);
  const low = Math.floor(place);
  const from = channels(CIVIDIS[low] ?? CIVIDIS[0]);
  const to = channels(CIVIDIS[Math.min(low + 1, CIVIDIS.length - 1)] ?? CIVIDIS[0]);
  const mixed = from.map((value, i) => Math.round(value + ((to[i] ?? value) - value) * (place - low)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** Relative luminance (WCAG), 0 black to 1 white, of a `#rrggbb` colour. */
export function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = channels(colour).map((value) => {
    const v = value / 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function channels(colour: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}

/** ① to ⑳, then the plain number. */
export function tieGlyph(index: number): string {
  return index >= 1 && index <= 20 ? String.fromCharCode(0x245f + index) : String(index);
}
