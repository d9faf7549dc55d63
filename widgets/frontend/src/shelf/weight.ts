// A row's weight between the pointer and Python: what is being dragged wins over what comes back.
import { useRef, useState } from "preact/hooks";
import { useDebounced } from "../shared/ui";

export interface Weight {
  curve: number[];
  set: (curve: number[]) => void;
  /** For the row: while it has the focus, states that are older than the pointer do not move it. */
  focus: { onFocusCapture: () => void; onBlurCapture: () => void };
}

const DELAY_MS = 120;

export function useCurve(known: number[], send: (curve: number[]) => void): Weight {
  const held = useRef<number[] | null>(null);
  const focused = useRef(false);
  const seen = useRef("");
  const [, redraw] = useState(0);
  const later = useDebounced(send, DELAY_MS);
  const same = JSON.stringify(known);
  if (seen.current !== same) {
    seen.current = same;
    if (!focused.current || JSON.stringify(held.current) === same) held.current = null;
  }
  return {
    curve: held.current ?? known,
    set: (curve) => {
      held.current = curve;
      redraw((count) => count + 1);
      later(curve);
    },
    focus: {
      onFocusCapture: () => {
        focused.current = true;
      },
      onBlurCapture: () => {
        focused.current = false;
        later.flush();
      },
    },
  };
}
