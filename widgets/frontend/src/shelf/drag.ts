// What leaves the shelf under the pointer.
import { type Card, DRAG_TYPE } from "./protocol";

export function carry(event: DragEvent, card: Card): void {
  if (!event.dataTransfer) return;
  event.dataTransfer.setData(DRAG_TYPE, JSON.stringify(card));
  event.dataTransfer.effectAllowed = "copy";
}
