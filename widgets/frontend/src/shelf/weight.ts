// A row's weight between the pointer and Python: what is being dragged wins over what comes back.
import { useEffect, useRef, useState } from "preact/hooks";
import { useDebounced } from "../shared/ui";

export interface Weight {
  curve: number[];
  set: (curve: number[]) => void;
  /** For the row: while it has the focus, states that are older than the pointer do not move it. */
  focus: { onFocusCapture: () => void; onBlurCapture: () => void };
}

const DELAY_MS = 120;

export function useCurve(known: number[], send: (curve: number[]) => void): Weight {
  const [held, setHeld] = useState<number[] | null>(null);
  const focused = useRef(false);
  const later = useDebounced(send, DELAY_MS);
  const same = JSON.stringify(known);
  useEffect(() => {
    setHeld((curve) => (focused.current && curve && JSON.stringify(curve) !== same ? curve : null));
  }, [same]);
  return {
    curve: held ?? known,
    set: (curve) => {
      setHeld(curve);
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
