// The report of the last evaluation: a sentence, then a row per measure with its interval.
import { type ReportState, reportState } from "../protocol";
import { definePanel, type PanelProps } from "../shared/panel";

function Report({ state }: PanelProps<ReportState, never>) {
  return (
    <section class="ms-block" aria-label={state.title || "Evaluation"}>
      <header>
        <h2 class="ms-heading">{state.title || "Evaluation"}</h2>
        {state.note && (
          <span class="ms-faint ms-clip" title={state.note}>
            {state.note}
          </span>
        )}
      </header>
      <div class="ms-scroll">
        {state.sentence && <p class="ms-sentence">{state.sentence}</p>}
        {state.rows.length > 0 ? (
          <table class="ms-table">
            <thead>
              <tr>
                <th scope="col">
                  <span class="ms-hidden">Measure</span>
                </th>
                <th scope="col">before</th>
                <th scope="col">after</th>
                <th scope="col">change</th>
              </tr>
            </thead>
            <tbody>
              {state.rows.map((row) => (
                <tr key={row.label}>
                  <th scope="row">{row.label}</th>
                  <td class="ms-soft">{row.before}</td>
                  <td>
                    <b>{row.after}</b>
                  </td>
                  <td>
                    <span class={`ms-${row.tone}`}>{row.change}</span>
                    {row.interval && <small>{row.interval}</small>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        ) : (
          state.empty && <p class="ms-empty">{state.empty}</p>
        )}
      </div>
    </section>
  );
}

export default definePanel("report", reportState, Report);
