// The bar at the top: which model, what the edits changed, and the actions on the whole of it.
import { useEffect, useState } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { Said } from "../shared/ui";
import { Evaluate } from "./evaluate";
import { Figures } from "./figures";
import { FolderIcon, Logo, ParentsIcon, PromptIcon, RedoIcon, UndoIcon } from "./icons";
import { type TopbarMessage, type TopbarState, topbarState } from "./protocol";
import { Save } from "./save";

type Props = PanelProps<TopbarState, TopbarMessage>;

function Topbar({ state, send }: Props) {
  return (
    <>
      <header class="ms-bar">
        <div class="ms-brand">
          <Logo />
          <div class="ms-name">
            <strong title={state.name}>{state.name || "Model Surgery"}</strong>
            <span title={state.detail}>{state.detail}</span>
          </div>
        </div>
        <Figures figures={state.figures} />
        <div class="ms-actions">
          {state.device && (
            <span class="ms-device" title="where the model runs">
              {state.device}
            </span>
          )}
          <button
            type="button"
            class="ms-icon"
            aria-label="Parents"
            aria-pressed={state.shelf}
            title="Parents: merge with other checkpoints or adapters (B)"
            onClick={() => send({ type: "run", name: "parents" })}
          >
            <ParentsIcon />
          </button>
          <button
            type="button"
            class="ms-icon"
            aria-label="Prompt"
            aria-pressed={state.bench}
            title="Prompt: ask the original and the edited model the same (Q)"
            onClick={() => send({ type: "run", name: "prompt" })}
          >
            <PromptIcon />
          </button>
          <button
            type="button"
            class="ms-icon"
            aria-label="Open"
            title="Open a model or script (Ctrl-O)"
            onClick={() => send({ type: "browse" })}
          >
            <FolderIcon />
          </button>
          <button
            type="button"
            class="ms-icon"
            aria-label="Undo"
            title="Undo (Ctrl-Z)"
            disabled={!state.can_undo}
            onClick={() => send({ type: "undo" })}
          >
            <UndoIcon />
          </button>
          <button
            type="button"
            class="ms-icon"
            aria-label="Redo"
            title="Redo (Ctrl-Shift-Z)"
            disabled={!state.can_redo}
            onClick={() => send({ type: "redo" })}
          >
            <RedoIcon />
          </button>
          <Evaluate budget_s={state.budget_s} busy={state.evaluating !== null} send={send} />
          <Save places={state.save} send={send} />
        </div>
      </header>
      <Progress evaluating={state.evaluating} saving={state.saving} />
      <div class="ms-under" aria-live="polite">
        <Busy state={state} send={send} />
        <Notice state={state} send={send} />
        <Restore state={state} send={send} />
        <FirstMinute things={state.first_minute} />
      </div>
    </>
  );
}

/** The thin bar; one that runs where it is not known how long it takes. */
function Progress({ evaluating, saving }: Pick<TopbarState, "evaluating" | "saving">) {
  if (!evaluating && saving === null) return null;
  const percent = percentOf(evaluating?.fraction ?? null);
  return (
    <div
      class={percent === null ? "ms-progress ms-unknown" : "ms-progress"}
      role="progressbar"
      aria-label={evaluating?.label ?? saving ?? ""}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(percent === null ? {} : { "aria-valuenow": percent })}
    >
      <i style={percent === null ? {} : { width: `${percent}%` }} />
    </div>
  );
}

function percentOf(fraction: number | null): number | null {
  return fraction === null ? null : Math.round(100 * Math.min(1, Math.max(0, fraction)));
}

function Busy({ state, send }: Props) {
  const { evaluating, saving } = state;
  const percent = percentOf(evaluating?.fraction ?? null);
  return (
    <>
      {saving !== null && <div class="ms-toast ms-plain">{saving}</div>}
      {evaluating && (
        <div class="ms-toast">
          <span>{evaluating.label}</span>
          {percent !== null && <span class="ms-faint">{percent} %</span>}
          <button type="button" class="ms-link" onClick={() => send({ type: "stop" })}>
            Stop
          </button>
        </div>
      )}
    </>
  );
}

function Notice({ state, send }: Props) {
  const notice = state.notice;
  if (!notice) return null;
  return (
    <div class={`ms-toast ms-${notice.tone}`} role={notice.tone === "bad" ? "alert" : "status"}>
      <span>
        <Said text={notice.text} />
        {notice.hint && (
          <span class="ms-soft">
            {" "}
            <Said text={notice.hint} />
          </span>
        )}
      </span>
      <button type="button" class="ms-close" aria-label="Dismiss" onClick={() => send({ type: "dismiss" })}>
        ×
      </button>
    </div>
  );
}

/** Work that was not saved when its kernel ended. */
function Restore({ state, send }: Props) {
  const left = state.restore;
  if (!left) return null;
  const edits = left.count === 1 ? "1 edit" : `${left.count} edits`;
  return (
    <div class="ms-toast ms-restore" role="status">
      <span>
        <b>
          Not saved: {edits} of {left.when}.
        </b>{" "}
        <span class="ms-soft">{left.steps}</span>
      </span>
      <button type="button" class="ms-link" onClick={() => send({ type: "restore", restore: true })}>
        Restore
      </button>
      <button type="button" class="ms-link" onClick={() => send({ type: "restore", restore: false })}>
        Discard
      </button>
    </div>
  );
}

/** What to try first; closed by its button, and gone once Python sends an empty list. */
function FirstMinute({ things }: { things: string[] }) {
  const [closed, setClosed] = useState(false);
  useEffect(() => {
    if (things.length === 0) setClosed(false);
  }, [things.length]);
  if (closed || things.length === 0) return null;
  return (
    <section class="ms-first" aria-label="Things to try">
      <header>
        <b class="ms-heading">Try this first</b>
        <button type="button" class="ms-close" aria-label="Close" onClick={() => setClosed(true)}>
          ×
        </button>
      </header>
      <ol>
        {things.map((thing) => (
          <li key={thing}>{thing}</li>
        ))}
      </ol>
    </section>
  );
}

export default definePanel("topbar", topbarState, Topbar);
