// The line over the rows: which figure colours the cells, where the blocks are, and what the colours mean.
import { CIVIDIS } from "../shared/palette";
import { stride } from "./curve";
import type { ShelfMessage, ShelfState } from "./protocol";
import { Select } from "./select";

interface Props {
  state: ShelfState;
  send: (message: ShelfMessage) => void;
}

const MOST_LABELS = 16;

export function Axis({ state, send }: Props) {
  const count = state.columns.reduce((sum, section) => sum + section.labels.length, 0);
  const step = stride(count, MOST_LABELS);
  const { heat } = state;
  return (
    <div class="ms-shelf-row ms-shelf-axis">
      <Select
        label="What colours the cells"
        value={heat.figure}
        options={heat.options}
        onPick={(name) => send({ type: "figure", name })}
      />
      <div class="ms-shelf-sections" aria-hidden="true">
        {state.columns.map((section) => (
          <span
            key={section.path}
            class="ms-shelf-section"
            style={{ flexGrow: section.labels.length }}
            title={section.path}
          >
            {section.strip
              ? section.labels.map((label, place) => <i key={label}>{place % step === 0 ? label : ""}</i>)
              : null}
          </span>
        ))}
      </div>
      <Heat state={state} send={send} />
    </div>
  );
}

function Heat({ state, send }: Props) {
  const { running, due, legend } = state.heat;
  if (running) {
    return (
      <div class="ms-shelf-heat" role="status" title={running.label}>
        <progress max={1} value={running.fraction} aria-label="Comparing" />
        <span>{`Comparing ${Math.round(100 * running.fraction)} %`}</span>
        <button type="button" class="ms-link" onClick={() => send({ type: "stop" })}>
          Stop
        </button>
      </div>
    );
  }
  if (legend) {
    return (
      <div class="ms-shelf-heat" title={legend.middle === null ? legend.unit : `${legend.unit}, logarithmic`}>
        <span>{legend.low}</span>
        <i class="ms-shelf-scale" style={{ background: `linear-gradient(90deg, ${CIVIDIS.join(", ")})` }} />
        <span>{legend.high}</span>
        <span class="ms-clip ms-faint">{legend.unit}</span>
      </div>
    );
  }
  return (
    <div class="ms-shelf-heat">
      {due && (
        <button
          type="button"
          class="ms-link"
          title="Reads all weights once, piece by piece"
          onClick={() => send({ type: "compare" })}
        >
          Compare the weights
        </button>
      )}
    </div>
  );
}
