// The tree of states: go back, try another way, compare. Beside it the script that says the same.
import { useState } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { CopyButton } from "../shared/ui";
import { type Placed, placeStates } from "./lanes";
import { type HistoryMessage, type HistoryState, historyState } from "./protocol";

const ROW_PX = 26;
const LANE_PX = 22;
const MOST_LANES = 5;

const centre = (place: { row: number; lane: number }) => ({
  x: 16 + Math.min(place.lane, MOST_LANES) * LANE_PX,
  y: place.row * ROW_PX + ROW_PX / 2,
});

function History({ state, send }: PanelProps<HistoryState, HistoryMessage>) {
  const [showsScript, setShowsScript] = useState(false);
  const placed = placeStates(state.states);
  return (
    <section class="ms-block" aria-label="History">
      <header>
        <h2 class="ms-heading">{showsScript ? "Script" : "History"}</h2>
        {showsScript && <CopyButton text={state.python} />}
        <button
          type="button"
          class="ms-link"
          aria-pressed={showsScript}
          onClick={() => setShowsScript(!showsScript)}
        >
          {showsScript ? "History" : "Script"}
        </button>
      </header>
      {showsScript ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <pre class="ms-scroll ms-code" tabIndex={0}>
          {state.python || "# nothing yet: the first edit writes the first line"}
        </pre>
      ) : (
        <div class="ms-scroll">
          <ol class="ms-states" style={{ height: `${placed.length * ROW_PX}px` }}>
            <Branches placed={placed} />
            {placed.map((place) => (
              <StateRow
                key={place.state.id}
                place={place}
                go={() => send({ type: "goto", id: place.state.id })}
              />
            ))}
          </ol>
        </div>
      )}
    </section>
  );
}

function Branches({ placed }: { placed: Placed[] }) {
  return (
    <svg width="160" height={placed.length * ROW_PX} aria-hidden="true">
      {placed.map((place) => {
        if (!place.from) return null;
        const from = centre(place.from);
        const to = centre(place);
        const bend = Math.min(ROW_PX, to.y - from.y);
        const line =
          from.x === to.x
            ? `M${from.x} ${from.y}V${to.y}`
            : `M${from.x} ${from.y}C${from.x} ${from.y + bend * 0.8} ${to.x} ${from.y + bend * 0.2} ${to.x} ${from.y + bend}V${to.y}`;
        return <path key={place.state.id} d={line} class={place.state.ahead ? "ms-ahead" : undefined} />;
      })}
      {placed.map((place) => {
        const { x, y } = centre(place);
        return (
          <circle
            key={place.state.id}
            cx={x}
            cy={y}
            r={place.state.current ? 6 : 4.2}
            class={place.state.current ? "ms-current" : undefined}
          />
        );
      })}
    </svg>
  );
}

function StateRow({ place, go }: { place: Placed; go: () => void }) {
  const { state } = place;
  const classes = ["ms-state", state.current && "ms-current", state.ahead && "ms-ahead"].filter(Boolean);
  return (
    <li>
      <button
        type="button"
        class={classes.join(" ")}
        style={{ paddingLeft: `${centre({ row: 0, lane: place.reach }).x + 16}px` }}
        aria-current={state.current ? "step" : undefined}
        title={state.ahead ? `${state.label} (undone; press to redo up to here)` : state.label}
        onClick={go}
      >
        <span class="ms-clip">{state.label}</span>
        <span class="ms-number">{state.parameters}</span>
        <span class="ms-number">{state.metric ?? ""}</span>
      </button>
    </li>
  );
}

export default definePanel("history", historyState, History);
