// One state laid over the other: before on the left of a divider, now on its right.
import { useRef, useState } from "preact/hooks";
import { keyOf, type Piece } from "./folds";
import type { CompareMessage } from "./protocol";

export const MARKS = { remove: "only before", new: "only now", changed: "changed" } as const;

interface Props {
  pieces: readonly Piece[];
  send: (message: CompareMessage) => void;
}

const STEP = 2;
const LEAP = 10;

/** Where a key moves the divider, in per cent; null for keys that mean nothing here. */
export function movedBy(key: string, at: number, far = false): number | null {
  const step = far ? LEAP : STEP;
  const moves: Record<string, number> = {
    ArrowLeft: at - step,
    ArrowDown: at - step,
    ArrowRight: at + step,
    ArrowUp: at + step,
    PageDown: at - LEAP,
    PageUp: at + LEAP,
    Home: 0,
    End: 100,
  };
  const to = moves[key];
  return to === undefined ? null : clamp(to);
}

const clamp = (at: number): number => Math.min(100, Math.max(0, at));

export function Swipe({ pieces, send }: Props) {
  const [at, setAt] = useState(50);
  const surface = useRef<HTMLDivElement>(null);
  const place = (x: number): number => {
    const { left, width } = surface.current?.getBoundingClientRect() ?? { left: 0, width: 0 };
    return width > 0 ? clamp(Math.round((100 * (x - left)) / width)) : at;
  };
  const said =
    at === 0
      ? "all as it is now"
      : at === 100
        ? "all as it was before"
        : `before up to ${at} %, now from there`;
  return (
    <div class="ms-swipe">
      <p class="ms-swipe-names" aria-hidden="true">
        <span>before</span>
        <span>now</span>
      </p>
      <div class="ms-swipe-surface" ref={surface}>
        <Layer side="before" pieces={pieces} clip={`inset(-4px ${100 - at}% -4px -4px)`} />
        <Layer
          side="after"
          pieces={pieces}
          clip={`inset(-4px -4px -4px ${at}%)`}
          send={send}
          // What has the focus is to be seen: the divider gives way.
          onReach={(box) => setAt((now) => Math.min(now, place(box.left - 6)))}
        />
        <div
          class="ms-swipe-divider"
          role="slider"
          tabIndex={0}
          aria-label="Divider between before and now"
          aria-orientation="horizontal"
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={at}
          aria-valuetext={said}
          title="drag, or ← and →; with Shift further"
          style={{ left: `${at}%` }}
          onKeyDown={(event) => {
            const to = movedBy(event.key, at, event.shiftKey);
            if (to === null || event.ctrlKey || event.metaKey || event.altKey) return;
            event.preventDefault();
            setAt(to);
          }}
          onPointerDown={(event) => {
            if (event.button !== 0) return;
            event.preventDefault();
            event.currentTarget.focus();
            event.currentTarget.setPointerCapture(event.pointerId);
          }}
          onPointerMove={(event) => {
            if (event.currentTarget.hasPointerCapture(event.pointerId)) setAt(place(event.clientX));
          }}
        />
      </div>
    </div>
  );
}

interface LayerProps {
  side: "before" | "after";
  pieces: readonly Piece[];
  clip: string;
  send?: (message: CompareMessage) => void;
  onReach?: (box: DOMRect) => void;
}

/** One state as cards on a wire; where it has no block the wire runs on, so that both keep their places. */
function Layer({ side, pieces, clip, send, onReach }: LayerProps) {
  return (
    <ol
      class={`ms-swipe-layer ms-swipe-${side}`}
      style={{ clipPath: clip }}
      aria-label={side === "before" ? "Blocks before" : "Blocks now"}
    >
      {pieces.map((piece) => {
        if (piece.kind === "run") {
          return (
            <li key={keyOf(piece)} class="ms-compare-run">
              <span>{piece.columns.length}</span>
              <span class="ms-hidden"> unchanged</span>
            </li>
          );
        }
        const { before, after, mark, path } = piece.column;
        const [name, other] = side === "before" ? [before, after] : [after, before];
        const title = `${path}: ${mark ? MARKS[mark] : "the same"}`;
        return (
          <li key={keyOf(piece)} class={mark ? `ms-mark-${mark}` : undefined} title={title}>
            {/* Both names give it its width, so that it stands in one place in both. */}
            <span class="ms-swipe-room" aria-hidden="true">
              {(name ?? "").length >= (other ?? "").length ? name : other}
            </span>
            {name === null ? (
              <span class="ms-hidden">none</span>
            ) : send ? (
              <button
                type="button"
                aria-label={title}
                onClick={() => send({ type: "select", paths: [path], mode: "set" })}
                onFocus={(event) => onReach?.(event.currentTarget.getBoundingClientRect())}
              >
                {name}
              </button>
            ) : (
              <span class="ms-swipe-card">{name}</span>
            )}
          </li>
        );
      })}
    </ol>
  );
}
