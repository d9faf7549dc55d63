// How a row is weighed: a slider or a text with a value per anchor, presets, one anchor more or fewer.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { extent, height, readCurve, resampled, rounded, shownCurve } from "./curve";
import type { ShelfMessage, ShelfState } from "./protocol";
import type { Weight } from "./weight";

interface Props {
  state: ShelfState;
  alias: string;
  weight: Weight | null;
  send: (message: ShelfMessage) => void;
  children?: ComponentChildren;
}

export function WeightControls({ state, alias, weight, send, children }: Props) {
  if (!weight) return <div class="ms-shelf-weight ms-bare">{children}</div>;
  if (!state.weighted) {
    const title = state.method.options.find((option) => option.name === state.method.name)?.title;
    return (
      <div class="ms-shelf-weight ms-bare">
        <small class="ms-faint">{`${title ?? "This method"} takes no weights`}</small>
        {children}
      </div>
    );
  }
  const { curve } = weight;
  const who = alias || "this model";
  const count = curve.length;
  const more = (next: number) => weight.set(resampled(curve, next));
  return (
    <div class="ms-shelf-weight">
      <div>
        {count === 1 && (
          <input
            type="range"
            aria-label={`Weight of ${who}`}
            min={extent(curve)[0]}
            max={extent(curve)[1]}
            step={0.01}
            value={curve[0]}
            style={{ "--ms-part": `${height(curve[0] ?? 0, extent(curve))}%` }}
            onInput={(event) => weight.set([Number(event.currentTarget.value)])}
          />
        )}
        <Typed who={who} weight={weight} />
        {children}
      </div>
      {state.over_depth && (
        <div>
          <select
            class="ms-input"
            aria-label={`Preset for ${who}`}
            value=""
            onChange={(event) => {
              send({ type: "preset", alias, name: event.currentTarget.value });
              event.currentTarget.value = ""; // so that the same one can be taken again
            }}
          >
            <option value="" disabled>
              Preset …
            </option>
            {state.presets.map((preset) => (
              <option key={preset.name} value={preset.name}>
                {preset.title}
              </option>
            ))}
          </select>
          <button
            type="button"
            class="ms-step"
            disabled={count < 2}
            aria-label={`One anchor fewer for ${who}`}
            title={count > 2 ? "One anchor fewer" : "One number for all depths"}
            onClick={() => more(count - 1)}
          >
            −
          </button>
          <button
            type="button"
            class="ms-step"
            aria-label={`One anchor more for ${who}`}
            title={count > 1 ? "One anchor more" : "A gradient from the first block to the last"}
            onClick={() => more(count + 1)}
          >
            +
          </button>
        </div>
      )}
    </div>
  );
}

/** The numbers themselves; kept as typed while they have the focus. */
function Typed({ who, weight }: { who: string; weight: Weight }) {
  const [text, setText] = useState<string | null>(null);
  const wrong = text !== null && readCurve(text) === null;
  return (
    <input
      class="ms-input"
      aria-label={`Weight of ${who}: a number, or several over depth`}
      aria-invalid={wrong}
      title="One number, or several from the first block to the last: 0, 0.5, 1"
      spellcheck={false}
      value={text ?? shownCurve(weight.curve.map(rounded))}
      onInput={(event) => {
        setText(event.currentTarget.value);
        const curve = readCurve(event.currentTarget.value);
        if (curve) weight.set(curve);
      }}
      onBlur={() => setText(null)}
    />
  );
}
