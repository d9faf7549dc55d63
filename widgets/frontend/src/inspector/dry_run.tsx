import type { DryRun } from "../protocol";
import { CopyButton } from "../shared/ui";

/** What the edit would cost; nothing of it is done yet. */
export function DryRunCard({ run }: { run: DryRun }) {
  return (
    <section class={run.error ? "ms-dry ms-refused" : "ms-dry"} aria-label="Dry run" aria-live="polite">
      <header>
        <b class="ms-heading">{run.error ? "Refused" : "Dry run"}</b>
        <span class="ms-soft">{run.caption}</span>
      </header>
      {run.error && (
        <p class="ms-refusal">
          {run.error.text}
          {run.error.hint && <span>{run.error.hint}</span>}
        </p>
      )}
      {run.rows.length > 0 && (
        <dl>
          {run.rows.map((row) => (
            <div key={row.label}>
              <dt>{row.label}</dt>
              <dd class={`ms-${row.tone}`}>{row.value}</dd>
            </div>
          ))}
        </dl>
      )}
      {run.note && <p class="ms-soft">{run.note}</p>}
      {run.python && (
        <div class="ms-python">
          <code title={run.python}>{run.python}</code>
          <CopyButton text={run.python} />
        </div>
      )}
    </section>
  );
}
