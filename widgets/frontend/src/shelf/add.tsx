// The line that adds a parent: a folder, a place on the hub or an adapter, and the name it gets.
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Said } from "../shared/ui";
import type { ShelfMessage, ShelfState } from "./protocol";

interface Props {
  form: ShelfState["form"];
  first: boolean;
  /** How the line is put away, where it may be. */
  close: (() => void) | undefined;
  send: (message: ShelfMessage) => void;
}

export function AddForm({ form, first, close, send }: Props) {
  const [source, setSource] = useState("");
  const [alias, setAlias] = useState("");
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  // It was asked for; the first one stands there by itself.
  useEffect(() => {
    if (!first) input.current?.focus();
  }, [first]);
  const { error } = form;
  const invalid = { "aria-invalid": error !== null, "aria-describedby": error ? `${id}-error` : undefined };
  return (
    <form
      class="ms-shelf-add"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !close) return;
        event.stopPropagation();
        close();
      }}
      onSubmit={(event) => {
        event.preventDefault();
        send({ type: "add", source, alias });
      }}
    >
      <label class="ms-shelf-name" for={id}>
        {first ? "First parent" : "Add a parent"}
      </label>
      <input
        id={id}
        ref={input}
        class="ms-input ms-mono"
        placeholder="folder, adapter folder, or owner/name on the hub"
        spellcheck={false}
        value={source}
        onInput={(event) => setSource(event.currentTarget.value)}
        {...invalid}
      />
      <div class="ms-shelf-as">
        <input
          class="ms-input"
          aria-label="Name of the parent"
          placeholder="name"
          title="Optional: made from the place if it is empty"
          spellcheck={false}
          value={alias}
          onInput={(event) => setAlias(event.currentTarget.value)}
          {...invalid}
        />
        <button type="submit" class="ms-button" disabled={source.trim() === ""}>
          Add
        </button>
        {close && (
          <button type="button" class="ms-close" aria-label="Add none" title="Add none (Esc)" onClick={close}>
            ×
          </button>
        )}
      </div>
      {error && (
        <p id={`${id}-error`} class="ms-error" role="alert">
          <Said text={error.text} />
          {error.hint && (
            <>
              {" Try: "}
              <Said text={error.hint} />
            </>
          )}
        </p>
      )}
    </form>
  );
}
