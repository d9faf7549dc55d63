// The part of an element that can be seen: a notebook scrolls, and clips the cells in it.

export interface Edges {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Where `element` lies within the window and all that clips it, in pixels of the window. */
export function visible(element: Element): Edges {
  let { left, top, right, bottom } = element.getBoundingClientRect();
  const clip = (by: Edges) => {
    left = Math.max(left, by.left);
    top = Math.max(top, by.top);
    right = Math.min(right, by.right);
    bottom = Math.min(bottom, by.bottom);
  };
  for (let outer = element.parentElement; outer; outer = outer.parentElement)
    if (getComputedStyle(outer).overflowY !== "visible" && outer !== document.body)
      clip(outer.getBoundingClientRect());
  clip({ left: 0, top: 0, right: innerWidth, bottom: innerHeight });
  return { left, top, right, bottom };
}
