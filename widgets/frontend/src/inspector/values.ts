// Between what a field holds and what a person types; pure.
import type { Field } from "./protocol";

/** A value as text for an input. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(shown).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What to send for a text: numbers where the field wants them, else the text as typed. */
export function parsed(kind: Field["kind"], text: string): unknown {
  const trimmed = text.trim();
  if (kind === "number" || kind === "integer") {
    if (trimmed === "") return null;
    const value = Number(trimmed.replace(/(\d),(\d)/, "$1.$2"));
    return Number.isFinite(value) ? value : trimmed;
  }
  if (kind === "numbers") {
    const values = trimmed
      .split(/[\s,;]+/)
      .filter(Boolean)
      .map(Number);
    return values.every(Number.isFinite) ? values : trimmed;
  }
  return text;
}

/** Bounds and step of a slider, or null where the field has not both bounds. */
export function sliderOf(field: Field): { min: number; max: number; step: number } | null {
  if (field.kind !== "number" && field.kind !== "integer") return null;
  const { minimum, maximum } = field;
  if (minimum === null || maximum === null || maximum <= minimum) return null;
  const step = field.step ?? (field.kind === "integer" ? 1 : (maximum - minimum) / 100);
  return { min: minimum, max: maximum, step: step > 0 ? step : 1 };
}
