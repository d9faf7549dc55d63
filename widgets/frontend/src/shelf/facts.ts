// What is known of a parent's cell, in words.

const WORDS: Record<string, (value: number) => string> = {
  moved: (value) => `distance ${percent(value)}`,
  cosine: (value) => `cosine ${value.toFixed(2).replace("-", "−")}`,
  conflicts: (value) => `${percent(value)} of the signs conflict`,
};

export interface Known {
  figure: string;
  value: number | null;
  gap: string | undefined;
  touched: number | undefined;
  weight: number | null;
}

export function factsOf({ figure, value, gap, touched, weight }: Known): string {
  if (gap !== undefined) return gap;
  const parts = [];
  if (touched) parts.push(`${touched} ${touched === 1 ? "module" : "modules"} adapted`);
  const words = WORDS[figure];
  if (value !== null && words) parts.push(words(value));
  if (weight !== null) parts.push(`weight ${weight}`);
  return parts.join(", ") || "nothing compared yet";
}

function percent(value: number): string {
  return `${Number((100 * value).toPrecision(3))} %`;
}
