// What lies over the canvas as ordinary elements: breadcrumb, legend, hints, tooltip, alert. Text only.

import { Said } from "../shared/ui";
import { Costs } from "./costs";
import type { Hit } from "./gestures/hit";
import type { CanvasMessage, CanvasState } from "./protocol";
import type { Box } from "./scene";

interface Props {
  state: CanvasState;
  hovered: Hit | null;
  /** Boxes in pixels of the panel. */
  hoveredBox: Box | null;
  alertBox: Box | null;
  size: { w: number; h: number };
  send: (message: CanvasMessage) => void;
  fit: () => void;
  zoomIn: () => void;
}

const HINTS = [
  ["T", "tie"],
  ["U", "untie"],
  ["M", "merge"],
  ["P", "prune"],
  ["A", "attach"],
  ["E", "evaluate"],
  ["/", "find"],
  ["⇧ drag", "select"],
] as const;

export function Chrome(props: Props) {
  const { state } = props;
  return (
    <>
      <div class="ms-over-top">
        <Breadcrumb state={state} send={props.send} />
        <Costs state={state} send={props.send} />
      </div>
      {state.empty !== null && state.overview.nodes.length === 0 && (
        <p class="ms-canvas-empty">{state.empty}</p>
      )}
      <div class="ms-over-bottom">
        <p class="ms-hints" aria-hidden="true">
          {HINTS.map(([key, verb]) => (
            <span key={key}>
              <kbd>{key}</kbd> {verb}
            </span>
          ))}
          <button type="button" tabIndex={-1} onClick={props.fit} title="Show all (F)">
            <kbd>F</kbd> fit
          </button>
          {state.selection.length > 0 && (
            <button type="button" tabIndex={-1} onClick={props.zoomIn} title="Zoom to what is selected (Z)">
              <kbd>Z</kbd> zoom in
            </button>
          )}
        </p>
      </div>
      <Tooltip {...props} />
      <Alert {...props} />
      <span class="ms-hidden" role="status">
        {state.selection.length > 0 ? `selected: ${state.selection.slice(0, 5).join(", ")}` : ""}
      </span>
    </>
  );
}

function Breadcrumb({ state, send }: Pick<Props, "state" | "send">) {
  const last = state.breadcrumb.length - 1;
  return (
    <nav class="ms-crumbs" aria-label="Place in the model">
      {state.breadcrumb.map((crumb, i) => (
        <span key={crumb.path}>
          {i > 0 && <i aria-hidden="true">›</i>}
          {i === last ? (
            <b aria-current="location">{crumb.label}</b>
          ) : (
            <button type="button" onClick={() => send({ type: "open", path: crumb.path || null })}>
              {crumb.label}
            </button>
          )}
        </span>
      ))}
    </nav>
  );
}

const TIP = { w: 280, room: 120, gap: 10 };

function Tooltip({ state, hovered, hoveredBox, size }: Props) {
  if (!hovered || !hoveredBox || hovered.kind === "fold" || hovered.kind === "card" || !hovered.path)
    return null;
  if (state.alert?.path === hovered.path) return null;
  const facts = state.facts.get(hovered.path);
  const error = hovered.kind === "node" ? (hovered.node.error ?? hovered.node.opaque) : null;
  // Below the node where there is room, else above it; so that it never hides what it tells about.
  const below = hoveredBox.y + hoveredBox.h + TIP.room < size.h;
  const place = below
    ? { top: `${hoveredBox.y + hoveredBox.h + TIP.gap}px` }
    : { bottom: `${size.h - hoveredBox.y + TIP.gap}px` };
  const left = Math.max(8, Math.min(hoveredBox.x, size.w - TIP.w - 8));
  return (
    <div class="ms-tip" style={{ ...place, left: `${left}px`, maxWidth: `${TIP.w}px` }}>
      <b>{facts?.title ?? hovered.path}</b>
      {facts?.lines.map((line) => (
        <p key={line}>{line}</p>
      ))}
      {error && <p class="ms-tip-error">{error}</p>}
      {facts?.note && <p class="ms-tip-note">{facts.note}</p>}
    </div>
  );
}

const CALLOUT = { w: 260, room: 110 };

function Alert({ state, alertBox, size }: Props) {
  const { alert } = state;
  if (!alert) return null;
  const box = alertBox ?? { x: size.w / 2 - CALLOUT.w / 2, y: 40, w: CALLOUT.w, h: 12 };
  const left = Math.max(8, Math.min(box.x + box.w / 2 - 28, size.w - CALLOUT.w - 8));
  const below = box.y + box.h + CALLOUT.room < size.h;
  const place = below ? { top: `${box.y + box.h + 12}px` } : { bottom: `${size.h - box.y + 12}px` };
  return (
    <div
      class={below ? "ms-alert" : "ms-alert ms-above"}
      role="alert"
      style={{ ...place, left: `${left}px`, width: `${CALLOUT.w}px` }}
    >
      <p>
        <Said text={alert.text} />
      </p>
      {alert.hint && (
        <p class="ms-soft">
          <Said text={alert.hint} />
        </p>
      )}
    </div>
  );
}
