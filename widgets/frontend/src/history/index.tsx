// The tree of states: go back, try another way, compare. Beside it the script that says the same.
import { useState } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { CopyButton } from "../shared/ui";
import { lineage, type Placed, placeStates } from "./lanes";
import { type HistoryMessage, type HistoryState, historyState } from "./protocol";
import { Sparkline } from "./sparkline";

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
  const needed = lineage(state.states);
  return (
    <section class="ms-block" aria-label="History">
      <header>
        <h2 class="ms-heading">{showsScript ? "Script" : "History"}</h2>
        {!showsScript && <Sparkline states={state.states} />}
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
              <StateRow key={place.state.id} place={place} needed={needed.has(place.state.id)} send={send} />
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

interface RowProps {
  place: Placed;
  /** Whether the current state stands on this one, or is it. */
  needed: boolean;
  send: (message: HistoryMessage) => void;
}

function StateRow({ place, needed, send }: RowProps) {
  const { state } = place;
  const [naming, setNaming] = useState(false);
  const classes = ["ms-state", state.current && "ms-current", state.ahead && "ms-ahead"].filter(Boolean);
  const left = `${centre({ row: 0, lane: place.reach }).x + 16}px`;
  if (naming) {
    const done = (name: string) => {
      if (name.trim() !== (state.name ?? "")) send({ type: "rename", id: state.id, name: name.trim() });
      setNaming(false);
    };
    return (
      <li class="ms-naming" style={{ paddingLeft: left }}>
        <input
          class="ms-input"
          aria-label={`Name of the state ${state.label}`}
          placeholder={state.step}
          defaultValue={state.name ?? ""}
          ref={(input) => input?.focus()}
          onKeyDown={(event) => {
            if (event.key === "Enter") done(event.currentTarget.value);
            if (event.key === "Escape") setNaming(false);
          }}
          onBlur={(event) => done(event.currentTarget.value)}
        />
      </li>
    );
  }
  return (
    <li>
      <button
        type="button"
        class={classes.join(" ")}
        style={{ paddingLeft: left }}
        aria-current={state.current ? "step" : undefined}
        title={
          state.ahead
            ? `${state.step} (undone; press to redo up to here)`
            : `${state.step}; F2 names it, C compares it with the current state, Delete forgets it`
        }
        onClick={() => send({ type: "goto", id: state.id })}
        onKeyDown={(event) => {
          const act: Record<string, () => void> = {
            F2: () => setNaming(true),
            Delete: () => send({ type: "delete", id: state.id }),
            c: () => send({ type: "compare", id: state.id }),
          };
          const acts = event.ctrlKey || event.metaKey ? undefined : act[event.key];
          if (!acts) return;
          event.preventDefault();
          acts();
        }}
      >
        <span class="ms-clip">{state.label}</span>
        <span class="ms-number">{state.parameters}</span>
        <span class="ms-number">{state.metric ?? ""}</span>
      </button>
      <span class="ms-state-actions">
        <button
          type="button"
          aria-label={`Name ${state.label}`}
          title="Name it (F2)"
          onClick={() => setNaming(true)}
        >
          ✎
        </button>
        {!state.current && (
          <button
            type="button"
            aria-label={`Compare ${state.label} with the current state`}
            title="Compare it with the current state (C)"
            onClick={() => send({ type: "compare", id: state.id })}
          >
            ⇄
          </button>
        )}
        {!needed && (
          <button
            type="button"
            aria-label={`Forget ${state.label}`}
            title="Forget it, and what was made from it (Delete)"
            onClick={() => send({ type: "delete", id: state.id })}
          >
            ×
          </button>
        )}
      </span>
    </li>
  );
}

export default definePanel("history", historyState, History);
