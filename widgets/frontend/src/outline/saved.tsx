// Selections kept by a name: press one to select it again.
import { useState } from "preact/hooks";
import type { PanelProps } from "../shared/panel";
import type { OutlineMessage, OutlineState } from "./protocol";

export function Saved({ state, send }: PanelProps<OutlineState, OutlineMessage>) {
  const [naming, setNaming] = useState(false);
  const several = state.selection.length > 1;
  if (state.saved.length === 0 && !several && !naming) return null;
  return (
    <div class="ms-saved" role="toolbar" aria-label="Kept selections">
      {state.saved.map((item) => (
        <span key={item.name} class="ms-chip">
          <button
            type="button"
            title={`select these ${item.count}`}
            onClick={() => send({ type: "recall", name: item.name })}
          >
            {item.name} <i>{item.count}</i>
          </button>
          <button
            type="button"
            class="ms-close"
            aria-label={`Forget ${item.name}`}
            onClick={() => send({ type: "forget", name: item.name })}
          >
            ×
          </button>
        </span>
      ))}
      {naming ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const name = new FormData(event.currentTarget).get("name");
            if (typeof name === "string" && name.trim()) send({ type: "keep", name: name.trim() });
            setNaming(false);
          }}
        >
          <input
            class="ms-input"
            name="name"
            aria-label="Name of the selection"
            placeholder="name, then Enter"
            ref={(input) => input?.focus()}
            onKeyDown={(event) => event.key === "Escape" && setNaming(false)}
            onBlur={() => setNaming(false)}
          />
        </form>
      ) : (
        several && (
          <button
            type="button"
            class="ms-link"
            title="give these modules a name, to select them again"
            onClick={() => setNaming(true)}
          >
            Keep these {state.selection.length}
          </button>
        )
      )}
    </div>
  );
}
