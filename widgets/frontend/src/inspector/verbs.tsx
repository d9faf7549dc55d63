import type { InspectorMessage, VerbGroup } from "./protocol";

interface Props {
  groups: VerbGroup[];
  send: (message: InspectorMessage) => void;
}

/** The verbs as segments; under them the operations of the chosen verb where it has several. */
export function Verbs({ groups, send }: Props) {
  const active = groups.find((group) => group.active);
  return (
    <div class="ms-verbs">
      <div class="ms-segments" role="toolbar" aria-label="Operations">
        {groups.map((group) => (
          <button
            key={group.name}
            type="button"
            aria-pressed={group.active}
            // A verb that does not fit stays in reach of the keyboard, so that its reason can be read.
            aria-disabled={!group.enabled}
            title={group.reason ?? undefined}
            onClick={() => {
              const operation = group.operations.find((item) => item.active) ?? group.operations[0];
              if (group.enabled && operation) send({ type: "operation", name: operation.name });
            }}
          >
            {group.title}
          </button>
        ))}
      </div>
      {active && active.operations.length > 1 && (
        <div class="ms-choices" role="toolbar" aria-label={`Ways to ${active.title.toLowerCase()}`}>
          {active.operations.map((operation) => (
            <button
              key={operation.name}
              type="button"
              aria-pressed={operation.active}
              onClick={() => send({ type: "operation", name: operation.name })}
            >
              {operation.title}
            </button>
          ))}
        </div>
      )}
      {active?.reason && <p class="ms-faint">{active.reason}</p>}
    </div>
  );
}
