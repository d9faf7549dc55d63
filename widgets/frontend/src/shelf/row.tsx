// One parent: its name, a cell per block with its weight over depth beneath, and how it is weighed.
import { CurveBand } from "./band";
import { Cells } from "./cells";
import { WeightControls } from "./controls";
import { at, rounded } from "./curve";
import { carry } from "./drag";
import type { Row, ShelfMessage, ShelfState } from "./protocol";
import { useCurve } from "./weight";

interface Props {
  state: ShelfState;
  send: (message: ShelfMessage) => void;
}

export function ParentRow({
  state,
  row,
  chosen,
  choose,
  send,
}: Props & { row: Row; chosen: number | null; choose: (place: number) => void }) {
  const weight = useCurve(row.weight, (values) => send({ type: "weight", alias: row.alias, values }));
  const off = !row.counts || (state.method.name === "adopt" && row.kind !== "adapter");
  const ready = row.status === "ready";
  return (
    <fieldset class={`ms-shelf-row${off && ready ? " ms-off" : ""}`} {...weight.focus}>
      <legend class="ms-hidden">{`Parent ${row.alias}`}</legend>
      <div class="ms-shelf-name">
        <span>
          <input
            type="checkbox"
            checked={row.counts && row.status !== "refused"}
            disabled={row.status === "refused"}
            aria-label={`${row.alias} is part of the step`}
            title="Whether it is part of the step"
            onChange={(event) => send({ type: "counts", alias: row.alias, on: event.currentTarget.checked })}
          />
          <b class="ms-clip" title={`${row.alias}: ${row.source}`}>
            {row.alias}
          </b>
          {row.kind === "adapter" && ready && <Handle row={row} send={send} />}
        </span>
        {ready && (
          <small class="ms-clip" title={row.text}>
            {row.text}
          </small>
        )}
      </div>
      {ready ? (
        <div class="ms-shelf-strip">
          <Cells
            {...{ state, row, chosen, choose }}
            weightAt={(depth) => (state.weighted ? rounded(at(weight.curve, depth)) : null)}
          />
          {state.weighted && <CurveBand state={state} alias={row.alias} weight={weight} />}
        </div>
      ) : (
        <p class={`ms-shelf-said${row.status === "refused" ? " ms-error" : " ms-soft"}`} role="status">
          {row.text}
          {row.hint && <span class="ms-soft">{` Try: ${row.hint.replaceAll("`", "")}.`}</span>}
        </p>
      )}
      <WeightControls state={state} alias={row.alias} weight={ready ? weight : null} send={send}>
        <button
          type="button"
          class="ms-close"
          aria-label={`Take ${row.alias} off the shelf`}
          title={`Take ${row.alias} off the shelf`}
          onClick={() => send({ type: "remove", alias: row.alias })}
        >
          ×
        </button>
      </WeightControls>
    </fieldset>
  );
}

/** This model's own weight, where the method has one. */
export function OwnRow({ state, own, send }: Props & { own: number[] }) {
  const weight = useCurve(own, (values) => send({ type: "weight", alias: "", values }));
  return (
    <fieldset class="ms-shelf-row ms-shelf-own" {...weight.focus}>
      <legend class="ms-hidden">This model</legend>
      <div class="ms-shelf-name">
        <span>
          <b>this model</b>
        </span>
      </div>
      <div class="ms-shelf-strip">
        <CurveBand state={state} alias="" weight={weight} />
      </div>
      <WeightControls state={state} alias="" weight={weight} send={send} />
    </fieldset>
  );
}

function Handle({ row, send }: { row: Row; send: (message: ShelfMessage) => void }) {
  return (
    <button
      type="button"
      class="ms-shelf-handle"
      draggable
      aria-label={`Adopt the adapter ${row.alias}`}
      title="Drag onto a module to adopt the adapter there; press to adopt it everywhere"
      onDragStart={(event) => carry(event, { kind: "adapter", alias: row.alias })}
      onClick={() => send({ type: "adopt", alias: row.alias, path: "" })}
    >
      adapter
    </button>
  );
}
