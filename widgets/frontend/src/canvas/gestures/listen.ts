// What the pointer means: selecting, opening, boxes, carrying. Panning and zooming are the camera's.
import { askForMenu } from "../../shared/menu";
import type { SelectMode } from "../../shared/protocol";
import type { CanvasMessage } from "../protocol";
import type { Box, Point } from "../scene";
import type { CanvasView } from "../view";
import { panOf } from "./autopan";
import { type Carried, carriedTo, DRAG_PX, dropped, END_PX, endAt, pickUp } from "./carry";
import { listenForCards } from "./foreign";
import { between, type Hit, hitTest, pathsIn } from "./hit";
import { actionOf, type Walk } from "./keys";
import { listenForMenu } from "./menu";

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
  const walk: Walk = { view, selection, send, anchor: null };
  let box: { start: Point; pointer: number } | null = null;
  let held: { what: Carried; start: Point; pointer: number } | null = null;
  let swallowClick = false;
  /** Where the pointer was last while it drags. */
  let dragged: Point = { x: 0, y: 0 };
  const pan = panOf(view, () => follow());

  const screenOf = (event: MouseEvent): Point => ({ x: event.offsetX, y: event.offsetY });
  const worldOf = (event: MouseEvent): Point => view.camera.toWorld(screenOf(event));
  const pathOf = (hit: Hit | null): string => (hit?.kind === "cell" || hit?.kind === "node" ? hit.path : "");
  const pick = (paths: string[], mode: SelectMode) => send({ type: "select", paths, mode });

  /** An end that can be pulled off is grasped before the node under it. */
  const hoverEnd = (at: Point | null): boolean => {
    const slack = END_PX / view.camera.transform.k;
    const found = at && endAt(view.drawnThreads, at, slack);
    const end = found?.thread.ends[found.end] ?? null;
    if (end?.x !== view.hotEnd?.x || end?.y !== view.hotEnd?.y) {
      view.hotEnd = end;
      canvas.style.cursor = end ? "grab" : "";
      view.redraw();
    }
    return end !== null;
  };
  const hover = (hit: Hit | null) => {
    const name = (item: Hit | null) => (item ? `${item.kind} ${item.kind === "fold" ? "" : item.path}` : "");
    const changed = name(view.hovered) !== name(hit);
    view.hovered = hit;
    if (!changed) return;
    if (!view.hotEnd) canvas.style.cursor = hit && (hit.kind === "fold" || pathOf(hit)) ? "pointer" : "";
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
    const from = walk.anchor ?? selection()[0] ?? path;
    if (event.shiftKey) return pick(between(view.scene, from, path), "range");
    walk.anchor = path;
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
    letGo();
    if (event.button !== 0) return;
    if (event.shiftKey) {
      box = { start: worldOf(event), pointer: event.pointerId };
      canvas.setPointerCapture(event.pointerId);
    } else if (!event.ctrlKey && !event.metaKey) {
      const { k } = view.camera.transform;
      const what = pickUp(view.scene, view.drawnThreads, worldOf(event), k, selection());
      if (what) held = { what, start: screenOf(event), pointer: event.pointerId };
      view.taken = held !== null;
    }
  };
  const onMove = (event: PointerEvent) => {
    if (box?.pointer === event.pointerId) {
      dragged = screenOf(event);
      pan.dragTo(dragged);
      follow();
    } else if (held?.pointer === event.pointerId) carry(event, held);
    else if (event.buttons !== 0) leave();
    else if (hoverEnd(worldOf(event))) hover(null);
    else hover(hitTest(view.scene, worldOf(event)));
  };
  const leave = () => {
    hoverEnd(null);
    hover(null);
  };
  /** What is dragged stays under the pointer, also where the view moves on. */
  function follow(): void {
    const at = view.camera.toWorld(dragged);
    if (box) view.rubber = boxTo(at, box.start);
    else if (held) view.carried = carriedTo(held.what, view.scene, at, view.camera.transform.k);
    view.redraw();
  }
  const carry = (event: PointerEvent, { start }: NonNullable<typeof held>) => {
    const at = screenOf(event);
    if (!view.carried && Math.hypot(at.x - start.x, at.y - start.y) <= DRAG_PX) return;
    if (!view.carried) {
      leave();
      canvas.setPointerCapture(event.pointerId);
      canvas.style.cursor = "grabbing";
    }
    dragged = at;
    pan.dragTo(at);
    follow();
  };
  /** Ends what is carried; what was carried is given back. */
  function letGo(): Carried | null {
    const { carried } = view;
    pan.stop();
    held = null;
    view.taken = false;
    view.carried = null;
    if (!carried) return null;
    canvas.style.cursor = "";
    view.redraw();
    return carried;
  }
  const onUp = (event: PointerEvent) => {
    if (held?.pointer === event.pointerId) {
      const carried = letGo();
      swallowClick = carried !== null;
      const message = carried && event.type === "pointerup" ? dropped(carried) : null;
      if (message) send(message);
      // What a drop may mean is offered where it happened.
      if (message?.type === "drop")
        askForMenu(canvas, message.target, { x: event.clientX, y: event.clientY });
      return;
    }
    if (box?.pointer !== event.pointerId) return;
    pan.stop();
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
    if (event.key === "Escape" && letGo()) {
      swallowClick = true;
      event.preventDefault();
      return;
    }
    const act = actionOf(event, walk);
    if (!act) return;
    event.preventDefault();
    act();
  };

  const onMap = (event: PointerEvent) => {
    if (event.type === "pointerdown") map.setPointerCapture(event.pointerId);
    if (event.buttons & 1) view.centreOnMap({ x: event.offsetX, y: event.offsetY });
  };

  canvas.addEventListener("pointerdown", onDown, { signal });
  canvas.addEventListener("pointermove", onMove, { signal });
  canvas.addEventListener("pointerup", onUp, { signal });
  canvas.addEventListener("pointercancel", onUp, { signal });
  canvas.addEventListener("pointerleave", leave, { signal });
  canvas.addEventListener("click", onClick, { signal });
  canvas.addEventListener("dblclick", onDoubleClick, { signal });
  canvas.addEventListener("keydown", onKey, { signal });
  map.addEventListener("pointerdown", onMap, { signal });
  map.addEventListener("pointermove", onMap, { signal });
  signal.addEventListener("abort", () => pan.stop());
  listenForCards(view, send, signal);
  listenForMenu({ view, selection, send, signal });
  return () => stop.abort();
}
