import type { InspectorMessage, VerbGroup } from "./protocol";

interface Props {
  groups: VerbGroup[];
  send: (message: InspectorMessage) => void;
}

const MOST_BESIDE = 12;

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
      {active && active.operations.length > 1 && <Ways group={active} send={send} />}
      {active?.reason && <p class="ms-faint">{active.reason}</p>}
    </div>
  );
}

/** The operations of a verb, beside each other; more than three rows of them as a list that opens. */
function Ways({ group, send }: { group: VerbGroup; send: Props["send"] }) {
  const label = `Ways to ${group.title.toLowerCase()}`;
  const chosen = group.operations.find((operation) => operation.active);
  if (group.operations.length > MOST_BESIDE) {
    return (
      <label class="ms-way">
        <span>Method</span>
        <select
          class="ms-input"
          aria-label={label}
          value={chosen?.name ?? ""}
          onChange={(event) => send({ type: "operation", name: event.currentTarget.value })}
        >
          {!chosen && <option value="" disabled />}
          {group.operations.map((operation) => (
            <option key={operation.name} value={operation.name}>
              {operation.title}
            </option>
          ))}
        </select>
      </label>
    );
  }
  return (
    <div class="ms-choices" role="toolbar" aria-label={label}>
      {group.operations.map((operation) => (
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
  );
}
