// Kinds of adapters that are made anew: cards to drag onto a module, or to press for the selected one.
import { carry } from "./drag";
import type { ShelfMessage, ShelfState } from "./protocol";

interface Props {
  kinds: ShelfState["kinds"];
  send: (message: ShelfMessage) => void;
}

export function Kinds({ kinds, send }: Props) {
  return kinds.length === 0 ? null : (
    <p class="ms-shelf-kinds">
      New adapters
      {kinds.map(({ title, adapter }) => {
        const card = { kind: "operation", name: "attach", values: { adapter } } as const;
        return (
          <button
            key={adapter}
            type="button"
            class="ms-kind"
            draggable
            title={`${title}: drag it onto a linear module, or press it for the selected one`}
            onDragStart={(event) => carry(event, card)}
            onClick={() => send({ type: "take", card })}
          >
            {title}
          </button>
        );
      })}
    </p>
  );
}
