// The report of the last evaluation: a sentence, then a row per measure with its interval.
import { useEffect, useRef } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { fitCharts } from "./chart";
import { type ReportState, reportState } from "./protocol";

function Report({ state }: PanelProps<ReportState, never>) {
  const section = useRef<HTMLElement>(null);
  const measured = state.rows.length > 0;
  // By the time something was measured the whole studio stands in the page.
  useEffect(() => (section.current && measured ? fitCharts(section.current) : undefined), [measured]);
  return (
    <section class="ms-block" ref={section} aria-label={state.title || "Evaluation"}>
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
        {measured ? (
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
