import { useCallback, useState } from "preact/hooks";
import { useDismiss, useDraft } from "../shared/ui";
import type { TopbarMessage, TopbarState } from "./protocol";

interface Props {
  places: TopbarState["save"];
  send: (message: TopbarMessage) => void;
}

/** The Save button and its two rows: the script, and the model's folder. */
export function Save({ places, send }: Props) {
  const [open, setOpen] = useState(false);
  const close = useCallback(() => setOpen(false), []);
  const element = useDismiss<HTMLDivElement>(open, close);
  const save = (message: TopbarMessage) => {
    send(message);
    close();
  };
  return (
    <div class="ms-save" ref={element}>
      <button
        type="button"
        class="ms-button"
        aria-haspopup="dialog"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        Save <span aria-hidden="true">▾</span>
      </button>
      {open && (
        <div class="ms-popover" role="dialog" aria-label="Save">
          <Row
            label="Script"
            action="Save script"
            path={places.script_path}
            first
            save={(path) => save({ type: "save_script", path })}
          />
          <Row
            label="Model folder"
            action="Save model"
            path={places.model_path}
            replaceable
            save={(path, overwrite) => save({ type: "save_model", path, overwrite })}
          />
          <Row
            label="Report, one page of HTML"
            action="Save report"
            path={places.report_path}
            save={(path) => save({ type: "save_report", path })}
          />
          <Row
            label="Picture of the graph, SVG"
            action="Save picture"
            path={places.picture_path}
            save={(path) => save({ type: "save_picture", path })}
          />
          <button
            type="button"
            class="ms-link"
            title="the picture as it is on the screen, at twice its size"
            onClick={() => {
              askForPicture(element.current);
              close();
            }}
          >
            Download the picture as PNG
          </button>
        </div>
      )}
    </div>
  );
}

/** The canvas answers with a download. */
function askForPicture(from: Element | null): void {
  const detail = { kind: "png", name: "model-surgery" };
  from?.closest(".ms-studio")?.dispatchEvent(new CustomEvent("ms-picture", { detail }));
}

interface RowProps {
  label: string;
  action: string;
  path: string;
  first?: boolean;
  /** Whether what is there already is replaced only if asked for. */
  replaceable?: boolean;
  save: (path: string, overwrite: boolean) => void;
}

function Row({ label, action, path, first, replaceable, save }: RowProps) {
  const [draft, setDraft] = useDraft(path);
  const [overwrite, setOverwrite] = useState(false);
  const chosen = draft.trim();
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (chosen) save(chosen, overwrite);
      }}
    >
      <label>
        <span>{label}</span>
        <input
          class="ms-input ms-mono"
          value={draft}
          spellcheck={false}
          ref={(input) => {
            if (first && input && !input.dataset.seen) {
              input.dataset.seen = "true";
              input.focus();
            }
          }}
          onInput={(event) => setDraft(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="ms-button" disabled={!chosen}>
        {action}
      </button>
      {replaceable && (
        <label class="ms-check">
          <input
            type="checkbox"
            checked={overwrite}
            onChange={(event) => setOverwrite(event.currentTarget.checked)}
          />
          replace the model that is in this folder
        </label>
      )}
    </form>
  );
}
