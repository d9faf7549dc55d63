// The edits that are planned: reordered by dragging or by keys, costed together, applied at once.
import { useState } from "preact/hooks";
import type { InspectorMessage, Pending } from "./protocol";

interface Props {
  pending: Pending;
  send: (message: InspectorMessage) => void;
}

export function PendingList({ pending, send }: Props) {
  const { rows, together } = pending;
  const [dragged, setDragged] = useState<number | null>(null);
  const move = (id: number, to: number) => {
    if (to >= 0 && to < rows.length) send({ type: "pending_move", id, to });
  };
  const all = rows.length === 1 ? "Apply it" : rows.length === 2 ? "Apply both" : `Apply all ${rows.length}`;
  return (
    <section class="ms-pending" aria-label="Pending edits" aria-busy={pending.waiting}>
      <header>
        <b class="ms-heading">Pending</b>
        {together && <span class={`ms-${together.tone}`}>{together.text} together</span>}
      </header>
      <ol>
        {rows.map((row, place) => (
          <li
            key={row.id}
            draggable
            class={dragged === row.id ? "ms-dragged" : undefined}
            onDragStart={() => setDragged(row.id)}
            onDragEnd={() => setDragged(null)}
            onDragOver={(event) => dragged !== null && event.preventDefault()}
            onDrop={(event) => {
              event.preventDefault();
              if (dragged !== null) move(dragged, place);
              setDragged(null);
            }}
          >
            <button
              type="button"
              class="ms-pending-step"
              title={`${row.label}: edit it; Alt with an arrow key moves it`}
              onClick={() => send({ type: "pending_edit", id: row.id })}
              onKeyDown={(event) => {
                const step = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
                if (!event.altKey || step === 0) return;
                event.preventDefault();
                move(row.id, place + step);
              }}
            >
              <i class={`ms-glyph ms-glyph-${row.operation}`} aria-hidden="true" />
              <span class="ms-clip">{row.label}</span>
              <span class={`ms-number ms-${row.change?.tone ?? "none"}`}>{row.change?.text ?? "…"}</span>
            </button>
            <button
              type="button"
              class="ms-close"
              aria-label={`Drop ${row.label}`}
              onClick={() => send({ type: "pending_drop", id: row.id })}
            >
              ×
            </button>
            {row.error && <p class="ms-error">{row.error}</p>}
          </li>
        ))}
      </ol>
      <div class="ms-pending-buttons">
        <button
          type="button"
          class="ms-outlined"
          disabled={!pending.can_apply}
          onClick={() => send({ type: "pending_apply", evaluate: true })}
        >
          {all} and evaluate
        </button>
        <button
          type="button"
          class="ms-link"
          disabled={!pending.can_apply}
          onClick={() => send({ type: "pending_apply", evaluate: false })}
        >
          Apply without evaluating
        </button>
        <button type="button" class="ms-link" onClick={() => send({ type: "pending_drop", id: null })}>
          Drop all
        </button>
      </div>
    </section>
  );
}
