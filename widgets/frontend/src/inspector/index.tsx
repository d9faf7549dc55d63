// The right panel: what is selected, the verbs that fit, the operation's fields, its dry run, Apply.
import { useRef, useState } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { About } from "./about";
import { DryRunCard } from "./dry_run";
import { FieldRow } from "./field";
import { PendingList } from "./pending";
import { type InspectorMessage, type InspectorState, inspectorState } from "./protocol";
import { Verbs } from "./verbs";

function Inspector({ state, send }: PanelProps<InspectorState, InspectorMessage>) {
  const form = state.form;
  // Apply must not overtake a value that still waits to be sent, so each field leaves its flush here.
  const [asked, setAsked] = useState<string | null>(null);
  const flushes = useRef(new Map<string, () => void>());
  const apply = () => {
    for (const flush of flushes.current.values()) flush();
    if (form?.can_apply) send({ type: "apply" });
  };
  return (
    <section class="ms-block" aria-label="Inspector">
      <header>
        <h2>{state.title || "Nothing selected"}</h2>
        <span class="ms-mono ms-faint ms-clip" title={state.detail}>
          {state.detail}
        </span>
      </header>
      <div class="ms-scroll">
        {state.groups.length > 0 && <Verbs groups={state.groups} send={send} />}
        {form ? (
          <form
            class="ms-form"
            aria-label={form.title}
            onSubmit={(event) => {
              event.preventDefault();
              apply();
            }}
            onKeyDown={(event) => {
              if (event.key === "Escape") send({ type: "cancel" });
            }}
          >
            <About form={form} field={asked} />
            {form.fields.map((field) => (
              <FieldRow
                key={`${form.operation}/${field.name}`}
                field={field}
                onAsk={setAsked}
                flushes={flushes.current}
                send={(value) => send({ type: "field", name: field.name, value })}
              />
            ))}
            {state.dry_run && <DryRunCard run={state.dry_run} />}
            {state.chart && <Chart {...state.chart} />}
            <div class="ms-buttons">
              <button type="submit" class="ms-primary" disabled={!form.can_apply}>
                {form.apply_label || "Apply"} <span aria-hidden="true">↵</span>
              </button>
              <button
                type="button"
                class="ms-button"
                disabled={!form.can_apply}
                title="plan it, and go on: pending edits are costed, applied and evaluated together"
                onClick={() => {
                  for (const flush of flushes.current.values()) flush();
                  send({ type: "pend" });
                }}
              >
                Add to pending
              </button>
              <button type="button" class="ms-button" title="Esc" onClick={() => send({ type: "cancel" })}>
                Cancel
              </button>
            </div>
          </form>
        ) : (
          state.dry_run && <DryRunCard run={state.dry_run} />
        )}
        {state.pending && <PendingList pending={state.pending} send={send} />}
        {state.facts.length > 0 && (
          <dl class="ms-facts">
            {state.facts.map((fact) => (
              <div key={fact.label}>
                <dt>{fact.label}</dt>
                <dd title={fact.value}>{fact.value}</dd>
              </div>
            ))}
          </dl>
        )}
      </div>
    </section>
  );
}

/** An image by its address runs nothing, whatever names are in it. */
function Chart({ title, svg }: { title: string; svg: string }) {
  return <img class="ms-form-chart" alt={title} src={`data:image/svg+xml,${encodeURIComponent(svg)}`} />;
}

export default definePanel("inspector", inspectorState, Inspector);
