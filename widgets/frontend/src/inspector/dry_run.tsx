import { CopyButton, Said } from "../shared/ui";
import type { DryRun } from "./protocol";

/** What the edit would cost; nothing of it is done yet. */
export function DryRunCard({ run }: { run: DryRun }) {
  const refused = run.error !== null && !run.stale;
  return (
    <section
      class={`ms-dry${refused ? " ms-refused" : ""}${run.stale ? " ms-stale" : ""}`}
      aria-label="Dry run"
      aria-live="polite"
      aria-busy={run.stale}
    >
      <header>
        <b class="ms-heading">{refused ? "Refused" : "Dry run"}</b>
        <span class="ms-soft">{run.caption}</span>
      </header>
      {run.error && (
        <p class="ms-refusal">
          <Said text={run.error.text} />
          {run.error.hint && (
            <span>
              <Said text={run.error.hint} />
            </span>
          )}
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
      {run.stale && run.rows.length > 0 && <div class="ms-python ms-faint">…</div>}
      {run.python && (
        <div class="ms-python">
          <code title={run.python}>{run.python}</code>
          <CopyButton text={run.python} />
          {run.script && <CopyButton text={run.script} label="as JSON" title={run.script} />}
        </div>
      )}
    </section>
  );
}
