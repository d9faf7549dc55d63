// Which zoom shows all; pure.
import type { Box } from "../scene";

export interface Transform {
  x: number;
  y: number;
  k: number;
}

export const ZOOM = { least: 0.04, most: 4 };
/** Room for the breadcrumb and the legend above, the hints and the map below. */
export const MARGIN = { left: 22, right: 22, top: 62, bottom: 58 };
const READABLE_LEAST = 0.5;
const COMFORTABLE_MOST = 1;

/** What a view of `w` × `h` has inside its margins. */
export function roomOf(w: number, h: number): { w: number; h: number } {
  return {
    w: Math.max(40, w - MARGIN.left - MARGIN.right),
    h: Math.max(40, h - MARGIN.top - MARGIN.bottom),
  };
}

/**
 * The transform that shows `bounds` in a view of `w` × `h`: centred, nearer to the top than to the
 * foot. What would become too small to read is shown from its left end instead. Room that `bounds`
 * asks for beyond the `drawn` part stays free.
 */
export function fitTransform(bounds: Box, w: number, h: number, drawn: Box = bounds): Transform {
  const { w: roomX, h: roomY } = roomOf(w, h);
  const whole = Math.min(roomX / Math.max(1, bounds.w), roomY / Math.max(1, bounds.h));
  const k = Math.min(COMFORTABLE_MOST, Math.max(READABLE_LEAST, whole));
  const spareX = roomX - drawn.w * k;
  const spareY = roomY - bounds.h * k;
  return {
    k,
    x: MARGIN.left + Math.max(0, spareX / 2) - bounds.x * k,
    y: MARGIN.top + Math.max(0, spareY * 0.4) - bounds.y * k,
  };
}

const CLOSE_MOST = 1.6;

/** The transform that shows a part in the middle of the view, large but not huge, with some room around. */
export function closeUp(part: Box, w: number, h: number): Transform {
  const { w: roomX, h: roomY } = roomOf(w, h);
  const whole = Math.min((0.8 * roomX) / Math.max(1, part.w), (0.8 * roomY) / Math.max(1, part.h));
  const k = Math.min(CLOSE_MOST, Math.max(ZOOM.least, whole));
  return {
    k,
    x: MARGIN.left + roomX / 2 - (part.x + part.w / 2) * k,
    y: MARGIN.top + roomY / 2 - (part.y + part.h / 2) * k,
  };
}

/** How far to move so that `box` (in screen pixels) comes into a view of `w` × `h`; null where it is in. */
export function nudge(box: Box, w: number, h: number): { dx: number; dy: number } | null {
  const low = (start: number, size: number, from: number, to: number) =>
    start < from ? from - start : start + size > to ? Math.max(to - start - size, from - start) : 0;
  const dx = low(box.x, box.w, MARGIN.left, w - MARGIN.right);
  const dy = low(box.y, box.h, MARGIN.top, h - MARGIN.bottom);
  return dx === 0 && dy === 0 ? null : { dx, dy };
}
