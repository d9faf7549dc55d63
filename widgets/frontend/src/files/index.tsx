// Opening: a place typed, one opened lately, or one found in the folders.
import { useState } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { focusFirst, Sheet } from "../shared/sheet";
import { Said } from "../shared/ui";
import { type Entry, type FilesMessage, type FilesState, filesState, type Shown } from "./protocol";

type Send = (message: FilesMessage) => void;

const GLYPHS = { folder: "▸", model: "◆", script: "≡" } as const;

function Files({ state, send }: PanelProps<FilesState, FilesMessage>) {
  if (!state.shown) return null;
  return <Chooser shown={state.shown} send={send} />;
}

function Chooser({ shown, send }: { shown: Shown; send: Send }) {
  const [typed, setTyped] = useState("");
  const [skeleton, setSkeleton] = useState(false);
  const open = (source: string, fits = true) => send({ type: "open", source, skeleton: skeleton || !fits });
  const choose = (entry: Entry) =>
    entry.kind === "folder" ? send({ type: "browse", path: entry.path }) : open(entry.path, entry.fits);
  return (
    <Sheet label="Open a model or script" close={() => send({ type: "close" })}>
      <form
        class="ms-files-typed"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed.trim()) open(typed.trim());
        }}
      >
        <input
          class="ms-input ms-mono"
          aria-label="Folder, script, hub id, or timm:NAME"
          placeholder="folder, script, hub id, or timm:NAME"
          spellcheck={false}
          value={typed}
          ref={focusFirst}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
        <button type="submit" class="ms-primary" disabled={!typed.trim()}>
          Open
        </button>
        <label
          class="ms-check"
          title="for what is larger than memory: edit here, replay where the weights are"
        >
          <input
            type="checkbox"
            checked={skeleton}
            onChange={(event) => setSkeleton(event.currentTarget.checked)}
          />
          structure only, without weights
        </label>
      </form>
      {shown.problem && (
        <p class="ms-refusal" role="alert">
          <Said text={shown.problem.text} /> <Said text={shown.problem.hint} />
        </p>
      )}
      <div class="ms-files-body">
        <nav aria-label="Opened lately">
          {shown.recent.length > 0 && <b class="ms-heading">Recent</b>}
          {shown.recent.map((source) => (
            <button key={source} type="button" title={source} onClick={() => open(source)}>
              <span class="ms-clip">{nameOf(source)}</span>
            </button>
          ))}
          <b class="ms-heading">Demonstrations</b>
          {shown.demos.map((source) => (
            <button key={source} type="button" onClick={() => open(source)}>
              {source}
            </button>
          ))}
        </nav>
        <section aria-label="Folders">
          <p class="ms-files-parts">
            {shown.parts.map((part, i) => (
              <span key={part.path}>
                {i > 1 && <i aria-hidden="true">/</i>}
                <button type="button" onClick={() => send({ type: "browse", path: part.path })}>
                  {part.name}
                </button>
              </span>
            ))}
          </p>
          <ul class="ms-scroll">
            {shown.here && <EntryRow entry={{ ...shown.here, name: "this folder" }} choose={choose} />}
            {shown.entries.map((entry) => (
              <EntryRow key={entry.path} entry={entry} choose={choose} />
            ))}
            {shown.hidden > 0 && <li class="ms-faint">and {shown.hidden} more</li>}
            {shown.entries.length === 0 && !shown.here && (
              <li class="ms-faint">No folder, model or script in here.</li>
            )}
          </ul>
        </section>
      </div>
    </Sheet>
  );
}

function EntryRow({ entry, choose }: { entry: Entry; choose: (entry: Entry) => void }) {
  const size = entry.fits ? entry.detail : `${entry.detail}, opened without weights`;
  const kind = entry.kind === "script" ? "edit script" : "";
  return (
    <li>
      <button
        type="button"
        class={`ms-file ms-file-${entry.kind}`}
        title={entry.path}
        onClick={() => choose(entry)}
      >
        <i aria-hidden="true">{GLYPHS[entry.kind]}</i>
        <span class="ms-clip">{entry.name}</span>
        <span class="ms-faint">{size || kind}</span>
      </button>
    </li>
  );
}

/** The end of a path, or the whole of an id. */
function nameOf(source: string): string {
  return source.startsWith("/") ? (source.split("/").filter(Boolean).pop() ?? source) : source;
}

export default definePanel("files", filesState, Files);
