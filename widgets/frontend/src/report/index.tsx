// The report of the last evaluation: a sentence, then a row per measure with its interval.
import { useEffect, useRef } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { Ranking, WhoIsAsked } from "./advice";
import { AskButton } from "./ask";
import { BarChart } from "./bars";
import { BudgetView } from "./budget";
import { fitCharts } from "./chart";
import { HistogramView } from "./histogram";
import { HeatMap } from "./matrix";
import { type ReportMessage, type ReportState, reportState } from "./protocol";
import { SuggestionList } from "./suggestions";

function Report({ state, send }: PanelProps<ReportState, ReportMessage>) {
  const section = useRef<HTMLElement>(null);
  const measured = state.rows.length > 0;
  const bare =
    !measured &&
    !state.bars &&
    !state.budget &&
    !state.matrix &&
    !state.advice?.best.length &&
    state.histograms.length === 0 &&
    !state.sentence;
  // By the time something was measured the whole studio stands in the page.
  useEffect(() => (section.current && measured ? fitCharts(section.current) : undefined), [measured]);
  return (
    <section class="ms-block" ref={section} aria-label={state.title || "Evaluation"}>
      <header>
        <Tabs state={state} send={send} />
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
        ) : null}
        {state.budget && <BudgetView budget={state.budget} send={send} />}
        {state.suggestions.length > 0 && <SuggestionList suggestions={state.suggestions} send={send} />}
        {state.advice && <WhoIsAsked advice={state.advice} ask={state.ask} send={send} />}
        {state.bars && <BarChart bars={state.bars} send={send} />}
        {state.advice && (
          <div class="ms-beside">
            {state.matrix && <HeatMap matrix={state.matrix} send={send} />}
            <Ranking advice={state.advice} send={send} />
          </div>
        )}
        {state.histograms.map((histogram) => (
          <HistogramView key={histogram.title} histogram={histogram} />
        ))}
        {bare && state.empty && <p class="ms-empty">{state.empty}</p>}
        {state.note && !bare && <p class="ms-faint ms-report-note">{state.note}</p>}
        {state.ask && !state.advice && <AskButton ask={state.ask} send={send} />}
      </div>
    </section>
  );
}

function Tabs({ state, send }: PanelProps<ReportState, ReportMessage>) {
  const step = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const here = state.tabs.findIndex((tab) => tab.name === state.tab);
    const next = state.tabs[(here + by + state.tabs.length) % state.tabs.length];
    if (next) send({ type: "tab", name: next.name });
    const tabs = (event.currentTarget as Element).querySelectorAll<HTMLElement>('[role="tab"]');
    tabs[(here + by + tabs.length) % tabs.length]?.focus();
  };
  return (
    <div class="ms-tabs" role="tablist" aria-label="Measures" onKeyDown={step}>
      {state.tabs.map((tab) => (
        <button
          key={tab.name}
          type="button"
          role="tab"
          aria-selected={tab.name === state.tab}
          tabIndex={tab.name === state.tab ? 0 : -1}
          onClick={() => send({ type: "tab", name: tab.name })}
        >
          {tab.title}
        </button>
      ))}
    </div>
  );
}

export default definePanel("report", reportState, Report);
