/** Seconds as typed (a comma will do for a point), or null where they are none. */
export function readSeconds(text: string): number | null {
  const trimmed = text.trim().replace(",", ".");
  const value = Number(trimmed);
  return trimmed !== "" && Number.isFinite(value) && value > 0 && value <= 86_400 ? value : null;
}
