// What a key does in the tree, by the ARIA practice for tree views; pure, so that it can be tested.
import type { VisibleRow } from "./tree";

export type Move =
  | { kind: "focus"; path: string; extend: boolean }
  | { kind: "fold"; path: string; open: boolean }
  | { kind: "select"; path: string; toggle: boolean }
  | { kind: "open"; path: string };

const PAGE_ROWS = 12;

export function moveFor(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey">,
  visible: readonly VisibleRow[],
  active: string,
): Move | null {
  const index = Math.max(
    0,
    visible.findIndex((item) => item.row.path === active),
  );
  const here = visible[index];
  if (!here) return null;
  const focus = (to: number): Move | null => {
    const target = visible[Math.min(visible.length - 1, Math.max(0, to))];
    return target ? { kind: "focus", path: target.row.path, extend: event.shiftKey } : null;
  };
  const path = here.row.path;
  switch (event.key) {
    case "ArrowDown":
      return focus(index + 1);
    case "ArrowUp":
      return focus(index - 1);
    case "PageDown":
      return focus(index + PAGE_ROWS);
    case "PageUp":
      return focus(index - PAGE_ROWS);
    case "Home":
      return focus(0);
    case "End":
      return focus(visible.length - 1);
    case "ArrowRight":
      if (!here.row.expandable) return null;
      return here.open ? focus(index + 1) : { kind: "fold", path, open: true };
    case "ArrowLeft":
      return here.open ? { kind: "fold", path, open: false } : focus(parentOf(visible, index));
    case "Enter":
      return { kind: "open", path };
    case " ":
      return { kind: "select", path, toggle: event.ctrlKey || event.metaKey };
    default:
      return null;
  }
}

function parentOf(visible: readonly VisibleRow[], index: number): number {
  const depth = visible[index]?.row.depth ?? 0;
  for (let i = index - 1; i >= 0; i--) if ((visible[i]?.row.depth ?? 0) < depth) return i;
  return index;
}
