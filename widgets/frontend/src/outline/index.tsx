// The outline: the whole module tree with every action, for eyes and for screen readers.
import { useEffect, useState } from "preact/hooks";
import { definePanel, type PanelProps } from "../shared/panel";
import { useDebounced } from "../shared/ui";
import { type OutlineMessage, type OutlineState, outlineState } from "./protocol";
import { Saved } from "./saved";
import { Tree } from "./view";

function Outline({ state, send }: PanelProps<OutlineState, OutlineMessage>) {
  return (
    <section class="ms-block" aria-label="Outline">
      <Search state={state} send={send} />
      <Saved state={state} send={send} />
      <Tree state={state} send={send} />
    </section>
  );
}

/** The selector; what is being typed wins over what Python last heard. */
function Search({ state, send }: PanelProps<OutlineState, OutlineMessage>) {
  const [typed, setTyped] = useState(state.search);
  const [focused, setFocused] = useState(false);
  const search = useDebounced((text: string, submit: boolean) => send({ type: "search", text, submit }), 200);
  useEffect(() => {
    if (!focused) setTyped(state.search);
  }, [state.search, focused]);
  const stale = typed.trim() !== state.search;
  const told = typed !== "" && !stale && !state.search_error && state.matches !== null;
  return (
    <div class="ms-search">
      <input
        class="ms-input ms-mono"
        type="search"
        aria-label="Search by selector, for example layers[8:10] or **.q_proj; Enter selects what matches"
        aria-invalid={state.search_error !== null && !stale}
        placeholder="layers[8:10] or q_proj"
        spellcheck={false}
        value={typed}
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          search(event.currentTarget.value, false);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") {
            search(event.currentTarget.value, true);
            search.flush();
          }
          if (event.key === "Escape" && typed) {
            setTyped("");
            search("", false);
            search.flush();
          }
        }}
        onFocus={() => setFocused(true)}
        onBlur={() => {
          search.flush();
          setFocused(false);
        }}
      />
      <span class="ms-matches" role="status">
        {told ? `${state.matches} match` : ""}
      </span>
      {told && focused && state.found.length > 0 && (
        <p class="ms-faint ms-read-as">
          {state.read_as && (
            <>
              read as <code>{state.read_as}</code>,{" "}
            </>
          )}
          <kbd>↵</kbd> selects
        </p>
      )}
      {state.search_error && !stale && <p class="ms-error">{state.search_error}</p>}
    </div>
  );
}

export default definePanel("outline", outlineState, Outline);
