// Cards dragged in from other panels (HTML5 drag and drop) onto a node.
import type { CanvasMessage } from "../protocol";
import type { CanvasView } from "../view";
import { panOf } from "./autopan";
import { landing } from "./carry";
import { hitTest } from "./hit";

export const CARD_TYPE = "application/x-model-surgery";

/** The card in the text, or null where it is not a JSON object. */
export function readCard(text: string): Record<string, unknown> | null {
  try {
    const card: unknown = JSON.parse(text);
    return typeof card === "object" && card !== null && !Array.isArray(card)
      ? (card as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

export function listenForCards(
  view: CanvasView,
  send: (message: CanvasMessage) => void,
  signal: AbortSignal,
): void {
  const { canvas } = view;
  const targetOf = (event: DragEvent) =>
    landing(hitTest(view.scene, view.camera.toWorld({ x: event.offsetX, y: event.offsetY })), []);
  const offer = (path: string | null) => {
    if (view.offered === path) return;
    view.offered = path;
    view.redraw();
  };
  let last: DragEvent | null = null;
  const pan = panOf(view, () => last && offer(targetOf(last)));
  const leave = () => {
    last = null;
    pan.stop();
    offer(null);
  };
  const onOver = (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes(CARD_TYPE)) return;
    last = event;
    pan.dragTo({ x: event.offsetX, y: event.offsetY });
    const target = targetOf(event);
    // Only where it can land; elsewhere the pointer says that it cannot.
    if (target !== null) {
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
    }
    offer(target);
  };
  const onDrop = (event: DragEvent) => {
    const text = event.dataTransfer?.getData(CARD_TYPE);
    leave();
    if (!text) return;
    event.preventDefault();
    const [card, target] = [readCard(text), targetOf(event)];
    if (card && target !== null) send({ type: "card", card, target });
  };
  canvas.addEventListener("dragenter", onOver, { signal });
  canvas.addEventListener("dragover", onOver, { signal });
  canvas.addEventListener("dragleave", leave, { signal });
  canvas.addEventListener("drop", onDrop, { signal });
  signal.addEventListener("abort", () => pan.stop());
}
