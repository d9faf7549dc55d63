// The parents' shelf: a strip row per parent beside the model, weights over depth, and the step they make.
import { useRef, useState } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { Said } from "../shared/ui";
import { AddForm } from "./add";
import { Axis } from "./axis";
import { type Chosen, Detail } from "./detail";
import { Kinds } from "./kinds";
import { Options } from "./options";
import { type ShelfMessage, type ShelfState, shelfState } from "./protocol";
import { OwnRow, ParentRow } from "./row";
import { Select } from "./select";

function Shelf({ state, send }: PanelProps<ShelfState, ShelfMessage>) {
  if (state.hidden) return null;
  return <Area state={state} send={send} />;
}

function Area({ state, send }: PanelProps<ShelfState, ShelfMessage>) {
  const [folded, setFolded] = useState(false);
  const [options, setOptions] = useState(false);
  const [adding, setAdding] = useState<number | null>(null);
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const section = useRef<HTMLElement>(null);
  const some = state.rows.length > 0;
  const close = () => {
    const cell = section.current?.querySelector<HTMLElement>('.ms-shelf-cells [aria-pressed="true"]');
    setChosen(null);
    cell?.focus();
  };
  return (
    <section class={`ms-shelf-area${folded ? " ms-folded" : ""}`} ref={section} aria-label="Parents">
      <header>
        <button
          type="button"
          class="ms-heading ms-fold"
          aria-expanded={!folded}
          title={folded ? "Show the parents" : "Fold the parents to this line"}
          onClick={() => setFolded(!folded)}
        >
          <i>{folded ? "▸" : "▾"}</i> Parents
          {folded && some && <span class="ms-count">{state.rows.length}</span>}
        </button>
        {some && !folded && <Chooser state={state} send={send} options={options} setOptions={setOptions} />}
        {!some && (
          <p class="ms-shelf-empty">
            Put other checkpoints or adapters beside this model: see where they differ, weigh them block by
            block, and measure the merge before it is saved.
          </p>
        )}
        {!some && <Kinds kinds={state.kinds} send={send} />}
      </header>
      {!folded && (
        <>
          {some && options && <Options state={state} send={send} />}
          {some ? (
            <div class="ms-shelf-rows">
              <Axis state={state} send={send} />
              {state.own && <OwnRow state={state} own={state.own} send={send} />}
              {state.rows.map((row) => (
                <ParentRow
                  key={row.alias}
                  state={state}
                  row={row}
                  chosen={chosen?.alias === row.alias ? chosen.place : null}
                  choose={(place) => setChosen({ alias: row.alias, place })}
                  send={send}
                />
              ))}
            </div>
          ) : null}
          {(!some || adding === state.form.added) && (
            <AddForm
              key={state.form.added}
              form={state.form}
              first={!some}
              close={some ? () => setAdding(null) : undefined}
              send={send}
            />
          )}
          {some && (
            <footer>
              {adding !== state.form.added && (
                <button type="button" class="ms-link" onClick={() => setAdding(state.form.added)}>
                  + Add a parent
                </button>
              )}
              <Status state={state} chosen={chosen} close={close} send={send} />
              {!chosen && <Kinds kinds={state.kinds} send={send} />}
            </footer>
          )}
        </>
      )}
    </section>
  );
}

interface Part {
  state: ShelfState;
  send: (message: ShelfMessage) => void;
}

function Chooser({
  state,
  send,
  options,
  setOptions,
}: Part & { options: boolean; setOptions: (on: boolean) => void }) {
  const { method, where } = state;
  return (
    <>
      <Select
        label="Method"
        title={method.summary}
        value={method.name}
        options={method.options}
        onPick={(name) => send({ type: "method", name })}
      />
      <Select
        label="Where it is merged"
        before="in"
        value={where.name}
        options={where.options}
        onPick={(name) => send({ type: "where", name })}
      />
      <button
        type="button"
        class="ms-link"
        aria-expanded={options}
        title="The method's own values"
        onClick={() => setOptions(!options)}
      >
        {options ? "Hide options" : "Options"}
      </button>
      <span class="ms-gap" />
      <button
        type="button"
        class="ms-button"
        disabled={!state.can_step}
        title="Show the step with its dry run: nothing is applied"
        onClick={() => send({ type: "prepare" })}
      >
        Prepare
      </button>
      <button
        type="button"
        class="ms-primary"
        disabled={!state.can_step}
        title="Apply the step and evaluate it: nothing is saved, undo takes it back"
        onClick={() => send({ type: "try" })}
      >
        Try and measure
      </button>
    </>
  );
}

function Status({ state, chosen, close, send }: Part & { chosen: Chosen | null; close: () => void }) {
  const row = state.rows.find((item) => item.alias === chosen?.alias);
  if (row && chosen) {
    return <Detail key={`${row.alias} ${chosen.place}`} {...{ state, row, chosen, close, send }} />;
  }
  const problem = state.problem ?? state.heat.problem;
  if (problem) {
    return (
      <p class="ms-error ms-clip" role="status" title={problem.text}>
        <Said text={problem.text} />
        {problem.hint && (
          <span class="ms-soft">
            {" Try: "}
            <Said text={problem.hint} />
          </span>
        )}
      </p>
    );
  }
  return (
    <p class="ms-shelf-code ms-clip" title={state.python}>
      {state.python}
    </p>
  );
}

export default definePanel("shelf", shelfState, Shelf);
