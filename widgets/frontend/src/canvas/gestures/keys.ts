// What keys on the focused canvas mean: walking, opening, looking, and the letters of the operations.
import { focusSearch, shortcut } from "../../shared/keys";
import type { CanvasMessage } from "../protocol";
import { selectableBox } from "../scene";
import type { CanvasView } from "../view";
import { between, type Direction, neighbour } from "./hit";

const ARROWS: Record<string, Direction> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};

export interface Walk {
  view: CanvasView;
  selection: () => readonly string[];
  send: (message: CanvasMessage) => void;
  /** Where a range that is being extended began. */
  anchor: string | null;
}

/** What the key does, or null where it is none of ours. */
export function actionOf(event: KeyboardEvent, walk: Walk): (() => void) | null {
  const { view, selection, send } = walk;
  const last = selection().at(-1);
  const direction = ARROWS[event.key];
  if (direction) return () => step(walk, direction, event.shiftKey);
  const key = shortcut(event);
  if (key) return () => send({ type: "key", key });
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  switch (event.key) {
    case "f":
      return () => view.showAll("goTo");
    case "F":
      return event.shiftKey ? () => view.showSelection() : () => view.showAll("goTo");
    case "z":
    case "Z":
      return () => view.showSelection();
    case "/":
      return () => focusSearch(view.canvas);
    case "+":
    case "=":
      return () => view.camera.zoomBy(1.25);
    case "-":
      return () => view.camera.zoomBy(0.8);
    case "Enter":
      return last ? () => send({ type: "open", path: last }) : null;
    default:
      return null;
  }
}

function step(walk: Walk, direction: Direction, extend: boolean): void {
  const { view, send, anchor } = walk;
  const chosen = walk.selection();
  const from = extend && chosen.length > 1 && anchor === chosen.at(-1) ? chosen[0] : chosen.at(-1);
  const next = neighbour(view.scene, from, direction);
  if (next === null) return;
  const target = selectableBox(view.scene, next);
  if (target) view.show(target);
  if (extend) {
    const paths = between(view.scene, anchor ?? from ?? next, next);
    send({ type: "select", paths, mode: "range" });
  } else {
    walk.anchor = next;
    send({ type: "select", paths: [next], mode: "set" });
  }
}
