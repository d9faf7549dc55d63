// Asks for the context menu: by the right button, the menu key or Shift-F10. Another panel draws it.
import { askForMenu } from "../../shared/menu";
import type { CanvasMessage } from "../protocol";
import type { CanvasView } from "../view";
import { type Hit, hitTest } from "./hit";

interface Options {
  view: CanvasView;
  selection: () => readonly string[];
  send: (message: CanvasMessage) => void;
  signal: AbortSignal;
}

export function listenForMenu({ view, selection, send, signal }: Options): void {
  const { canvas } = view;
  /** The key's own menu event may follow, and says nothing new. */
  let byKey = false;

  const onMenu = (event: MouseEvent) => {
    event.preventDefault();
    if (byKey) {
      byKey = false;
      return;
    }
    const path = pathUnder(hitTest(view.scene, view.camera.toWorld({ x: event.offsetX, y: event.offsetY })));
    if (path !== null && !selection().includes(path)) send({ type: "select", paths: [path], mode: "set" });
    askForMenu(canvas, path, { x: event.clientX, y: event.clientY });
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "ContextMenu" && !(event.key === "F10" && event.shiftKey)) return;
    const path = selection().at(-1);
    if (path === undefined) return;
    event.preventDefault();
    byKey = true;
    askForMenu(canvas, path, placeBy(path));
  };
  /** Under the node, where it is in view. */
  const placeBy = (path: string): { x: number; y: number } => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const box = view.boxOf(path) ?? { x: width / 2, y: height / 2, w: 0, h: 0 };
    const within = (value: number, most: number) => Math.max(8, Math.min(value, most - 8));
    return { x: left + within(box.x + 8, width), y: top + within(box.y + box.h, height) };
  };
  const forget = () => {
    byKey = false;
  };
  canvas.addEventListener("contextmenu", onMenu, { signal });
  canvas.addEventListener("keydown", onKey, { signal });
  canvas.addEventListener("pointerdown", forget, { signal });
}

function pathUnder(hit: Hit | null): string | null {
  return (hit?.kind === "node" || hit?.kind === "cell") && hit.path ? hit.path : null;
}
