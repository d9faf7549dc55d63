// A weight drawn over depth: a line under the cells, with a slider at each anchor.
import { across, extent, line, rounded } from "./curve";
import type { ShelfState } from "./protocol";
import type { Weight } from "./weight";

const MOST_SLIDERS = 12;

interface Props {
  state: ShelfState;
  alias: string;
  weight: Weight;
}

export function CurveBand({ state, alias, weight }: Props) {
  const { curve } = weight;
  const [low, high] = extent(curve);
  const first = state.columns.find((section) => new Set(section.depths).size > 1);
  const anchored = curve.length > 1 && curve.length <= MOST_SLIDERS;
  return (
    <div class="ms-shelf-sections ms-shelf-band">
      {state.columns.map((section) => (
        <div key={section.path} class="ms-shelf-section" style={{ flexGrow: section.labels.length }}>
          <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
            <polygon points={`0,100 ${line(curve, section)} 100,100`} />
            <polyline points={line(curve, section)} vector-effect="non-scaling-stroke" />
          </svg>
          {anchored &&
            section === first &&
            curve.map((value, place) => {
              const depth = place / (curve.length - 1);
              return (
                <input
                  key={place}
                  type="range"
                  class="ms-anchor"
                  aria-label={`${alias || "This model"}: weight at ${Math.round(100 * depth)} % of the depth`}
                  title={`${Math.round(100 * depth)} % deep: ${rounded(value)}`}
                  min={low}
                  max={high}
                  step={0.01}
                  value={value}
                  style={{ left: `${across(section, depth)}%` }}
                  onInput={(event) => {
                    const next = Number(event.currentTarget.value);
                    weight.set(curve.map((old, other) => (other === place ? next : old)));
                  }}
                />
              );
            })}
        </div>
      ))}
    </div>
  );
}
