// How a panel asks for the menu at a place; the menu panel draws it.

/** `at` in pixels of the window; what is selected is what the menu is about. */
export function askForMenu(from: Element | null, path: string | null, at: { x: number; y: number }): void {
  const detail = { path, ...at };
  from?.dispatchEvent(new CustomEvent("ms-menu", { bubbles: true, composed: true, detail }));
}
