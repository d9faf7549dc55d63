// How much to save: a slider over plans, the band each is expected in, and what was measured on release.
import { useEffect, useRef, useState } from "preact/hooks";
import { fade } from "../shared/fade";
import { useDebounced } from "../shared/ui";
import type { Budget, ReportMessage, Rung } from "./protocol";
import { middle, outline, trade } from "./trade";

interface Props {
  budget: Budget;
  send: (message: ReportMessage) => void;
}

/** A key held down is one drag: it is let go when no more come. */
const HELD_MS = 350;

export function BudgetView({ budget, send }: Props) {
  const { rungs } = budget;
  // Of another budget, or in another state, where the slider stood means nothing.
  const whose = `${budget.of} ${rungs.map((item) => item.paths.join()).join(";")}`;
  const [dragged, setDragged] = useState({ whose, count: budget.place });
  const root = useRef<HTMLFieldSetElement>(null);
  const place = Math.min(dragged.whose === whose ? dragged.count : budget.place, rungs.length - 1);
  const rung = rungs[place];
  const release = useDebounced((count: number) => send({ type: "budget_release", count }), HELD_MS);
  const paths = rung?.paths.join("\n") ?? "";
  useEffect(() => {
    if (root.current) fade(root.current, paths === "" ? [] : paths.split("\n"));
  }, [paths]);
  useEffect(() => {
    const here = root.current;
    const studio = here?.closest(".ms-studio");
    return () => {
      if (studio) fade(studio, []);
    };
  }, []);
  if (!rung) return null;
  return (
    <fieldset class="ms-budget" ref={root}>
      <legend class="ms-hidden">Budget</legend>
      <p class="ms-budget-head">
        <label>
          Save{" "}
          <select
            aria-label="What to save"
            value={budget.of}
            onChange={(event) => send({ type: "budget_of", of: event.currentTarget.value })}
          >
            {budget.choices.map((choice) => (
              <option key={choice.name} value={choice.name}>
                {choice.title}
              </option>
            ))}
          </select>
        </label>
        <output class="ms-budget-share">{rung.share}</output>
        <button
          type="button"
          class="ms-button ms-primary"
          disabled={place === 0}
          onClick={() => send({ type: "budget_apply", count: place })}
        >
          {place === 0 ? "Apply" : `Apply ${edits(place)}`}
        </button>
      </p>
      <Chart budget={budget} place={place} />
      <input
        type="range"
        min={0}
        max={rungs.length - 1}
        step={1}
        value={place}
        aria-label={`How much to save, in edits of the ranking, by ${budget.swept}`}
        aria-valuetext={spoken(rung, budget)}
        style={{ "--ms-part": `${(100 * place) / Math.max(1, rungs.length - 1)}%` }}
        onInput={(event) => setDragged({ whose, count: Number(event.currentTarget.value) })}
        onChange={(event) => release(Number(event.currentTarget.value))}
      />
      <p class="ms-ends" aria-hidden="true">
        <span>{rungs[0]?.share}</span>
        <span class="ms-faint ms-clip" title={rung.edits.join(", ")}>
          {rung.edits.length === 0 ? "drag to choose how much" : `${rung.amounts}: ${rung.edits.join(", ")}`}
        </span>
        <span>{rungs[rungs.length - 1]?.share}</span>
      </p>
      <p class="ms-budget-said" aria-live="polite">
        <span>
          {budget.name} <b>{rung.text}</b>
          {rung.band && `, ${rung.band}`}
          <span class="ms-faint">{rung.band && ` (${rung.grounds})`}</span>
        </span>
        {rung.said && <span class={rung.interaction ? "ms-worse" : "ms-soft"}>{rung.said}</span>}
        {budget.measuring && <span class="ms-faint">measuring …</span>}
        {budget.calibrate && (
          <button
            type="button"
            class="ms-link"
            disabled={budget.measuring}
            title="measure plans of several edits: the band then holds nine of ten"
            onClick={() => send({ type: "budget_calibrate" })}
          >
            {budget.calibrate}
          </button>
        )}
      </p>
    </fieldset>
  );
}

function Chart({ budget, place }: { budget: Budget; place: number }) {
  const { rungs } = budget;
  const figure = budget.unit === "" ? budget.name : `${budget.name}, ${budget.unit}`;
  const scale = trade(rungs, budget.better);
  const rung = rungs[place] as Rung;
  return (
    <div class="ms-trade" role="img" aria-label={`${figure} as it is expected for each size`}>
      <span class={`ms-faint ms-trade-name ms-${budget.better}`}>
        {figure}
        {scale.logarithmic && " (logarithmic)"}
      </span>
      <div class="ms-trade-box">
        <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
          <polygon points={outline(rungs, scale)} />
          <polyline points={middle(rungs, scale)} />
        </svg>
        <i class="ms-trade-here" style={{ left: `${scale.x(place)}%` }} />
        <i
          class="ms-trade-band"
          style={{
            left: `${scale.x(place)}%`,
            bottom: `${scale.y(rung.low)}%`,
            height: `${Math.max(1, scale.y(rung.high) - scale.y(rung.low))}%`,
          }}
        />
        {rungs.map(
          (item, index) =>
            item.measured !== null && (
              <i
                key={index}
                class={`ms-trade-dot${item.interaction ? " ms-apart" : ""}`}
                title={item.said ?? undefined}
                style={{ left: `${scale.x(index)}%`, bottom: `${scale.y(item.measured)}%` }}
              />
            ),
        )}
      </div>
    </div>
  );
}

const edits = (count: number) => `${count} edit${count === 1 ? "" : "s"}`;

function spoken(rung: Rung, budget: Budget): string {
  const parts = [rung.share, edits(rung.edits.length), `${budget.name} ${rung.text}`];
  if (rung.band) parts.push(`expected within ${rung.band}`);
  if (rung.interaction) parts.push("interaction");
  return parts.join(", ");
}
