// What gestures mean: selecting, opening, boxes, keys. Panning and zooming are d3-zoom's (view.ts).

import { focusSearch, shortcut } from "../../shared/keys";
import type { SelectMode } from "../../shared/protocol";
import type { CanvasMessage } from "../protocol";
import { type Box, type Point, selectableBox } from "../scene";
import type { CanvasView } from "../view";
import { between, type Direction, type Hit, hitTest, neighbour, pathsIn } from "./hit";

const ARROWS: Record<string, Direction> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};
const DRAG_PX = 4;

interface Options {
  view: CanvasView;
  selection: () => readonly string[];
  send: (message: CanvasMessage) => void;
  onHover: () => void;
}

/** Listens on the canvas and the map; returns what stops it. */
export function listen({ view, selection, send, onHover }: Options): () => void {
  const { canvas, map } = view;
  const stop = new AbortController();
  const { signal } = stop;
  let anchor: string | null = null;
  let box: { start: Point; pointer: number } | null = null;
  let swallowClick = false;

  const worldOf = (event: MouseEvent): Point => view.camera.toWorld({ x: event.offsetX, y: event.offsetY });
  const pathOf = (hit: Hit | null): string => (hit?.kind === "cell" || hit?.kind === "node" ? hit.path : "");
  const pick = (paths: string[], mode: SelectMode) => send({ type: "select", paths, mode });

  const hover = (hit: Hit | null) => {
    const name = (item: Hit | null) => (item ? `${item.kind} ${item.kind === "fold" ? "" : item.path}` : "");
    const changed = name(view.hovered) !== name(hit);
    view.hovered = hit;
    if (!changed) return;
    canvas.style.cursor = hit && (hit.kind === "fold" || pathOf(hit)) ? "pointer" : "";
    view.redraw();
    onHover();
  };

  const onClick = (event: MouseEvent) => {
    if (swallowClick) {
      swallowClick = false;
      return;
    }
    const hit = hitTest(view.scene, worldOf(event));
    if (hit?.kind === "fold") return send({ type: "open", path: null });
    const path = pathOf(hit);
    if (!path) {
      // The opened block's free ground is not nothing: a press there keeps the selection.
      if (!hit && !event.ctrlKey && !event.metaKey && !event.shiftKey) pick([], "set");
      return;
    }
    const from = anchor ?? selection()[0] ?? path;
    if (event.shiftKey) return pick(between(view.scene, from, path), "range");
    anchor = path;
    pick([path], event.ctrlKey || event.metaKey ? "toggle" : "set");
  };

  const boxTo = (end: Point, start: Point): Box => ({
    x: Math.min(start.x, end.x),
    y: Math.min(start.y, end.y),
    w: Math.abs(end.x - start.x),
    h: Math.abs(end.y - start.y),
  });

  const onDown = (event: PointerEvent) => {
    canvas.focus({ preventScroll: true });
    swallowClick = false;
    if (event.shiftKey && event.button === 0) {
      box = { start: worldOf(event), pointer: event.pointerId };
      canvas.setPointerCapture(event.pointerId);
    }
  };
  const onMove = (event: PointerEvent) => {
    if (box?.pointer === event.pointerId) {
      view.rubber = boxTo(worldOf(event), box.start);
      view.redraw();
    } else if (event.buttons === 0) hover(hitTest(view.scene, worldOf(event)));
    else hover(null);
  };
  const onUp = (event: PointerEvent) => {
    if (box?.pointer !== event.pointerId) return;
    const drawn = boxTo(worldOf(event), box.start);
    box = null;
    view.rubber = null;
    view.redraw();
    const size = view.camera.toScreen(drawn);
    if (size.w < DRAG_PX && size.h < DRAG_PX) return;
    swallowClick = true;
    const paths = pathsIn(view.scene, drawn);
    pick(event.ctrlKey || event.metaKey ? [...new Set([...selection(), ...paths])] : paths, "set");
  };

  const onDoubleClick = (event: MouseEvent) => {
    const path = pathOf(hitTest(view.scene, worldOf(event)));
    if (path) send({ type: "open", path });
  };

  const onKey = (event: KeyboardEvent) => {
    const act = actionOf(event);
    if (!act) return;
    event.preventDefault();
    act();
  };

  function actionOf(event: KeyboardEvent): (() => void) | null {
    const chosen = selection();
    const last = chosen[chosen.length - 1];
    const direction = ARROWS[event.key];
    if (direction) return () => step(direction, event.shiftKey);
    const key = shortcut(event);
    if (key) return () => send({ type: "key", key });
    if (event.ctrlKey || event.metaKey || event.altKey) return null;
    switch (event.key) {
      case "f":
      case "F":
        return () => view.showAll();
      case "/":
        return () => focusSearch(canvas);
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

  function step(direction: Direction, extend: boolean): void {
    const chosen = selection();
    const from =
      extend && chosen.length > 1 && anchor === chosen[chosen.length - 1] ? chosen[0] : chosen.at(-1);
    const next = neighbour(view.scene, from, direction);
    if (next === null) return;
    const target = selectableBox(view.scene, next);
    if (target) view.show(target);
    if (extend) pick(between(view.scene, anchor ?? from ?? next, next), "range");
    else {
      anchor = next;
      pick([next], "set");
    }
  }

  const onMap = (event: PointerEvent) => {
    if (event.type === "pointerdown") map.setPointerCapture(event.pointerId);
    if (event.buttons & 1) view.centreOnMap({ x: event.offsetX, y: event.offsetY });
  };

  canvas.addEventListener("pointerdown", onDown, { signal });
  canvas.addEventListener("pointermove", onMove, { signal });
  canvas.addEventListener("pointerup", onUp, { signal });
  canvas.addEventListener("pointercancel", onUp, { signal });
  canvas.addEventListener("pointerleave", () => hover(null), { signal });
  canvas.addEventListener("click", onClick, { signal });
  canvas.addEventListener("dblclick", onDoubleClick, { signal });
  canvas.addEventListener("keydown", onKey, { signal });
  map.addEventListener("pointerdown", onMap, { signal });
  map.addEventListener("pointermove", onMap, { signal });
  return () => stop.abort();
}
