// The keys that mean a command wherever the focus is in the studio.

const VERBS = new Set(["T", "U", "M", "P", "A", "E", "R", "I", "B", "Q"]);

/** The name of a shortcut as Python knows it, or null where the key is not one. */
export function shortcut(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey" | "altKey">,
): string | null {
  if (event.altKey) return null;
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  if (event.ctrlKey || event.metaKey) {
    if (key === "Z") return event.shiftKey ? "Ctrl-Shift-Z" : "Ctrl-Z";
    if (key === "O") return "Ctrl-O";
    return key === "Y" ? "Ctrl-Shift-Z" : null;
  }
  if (key === "Escape") return key;
  return VERBS.has(key) && !event.shiftKey ? key : null;
}

/** Whether letters typed here are text. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.matches("input, textarea, select");
}

/** Puts the cursor into the outline's search box of the studio that `from` belongs to. */
export function focusSearch(from: Element): void {
  const studio = from.closest(".ms-studio") ?? document;
  studio.querySelector<HTMLInputElement>(".ms-outline input")?.focus();
}
