// The method's own values: small controls side by side, sent as they are changed.
import { useId } from "preact/hooks";
import { useDebounced, useDraft } from "../shared/ui";
import type { Field, ShelfMessage, ShelfState } from "./protocol";

export function Options({ state, send }: { state: ShelfState; send: (message: ShelfMessage) => void }) {
  return (
    <fieldset class="ms-shelf-options">
      <legend class="ms-hidden">Options of the method</legend>
      <p>{state.method.summary}</p>
      {state.method.fields.map((field) => (
        <Option
          key={`${state.method.name} ${field.name}`}
          field={field}
          send={(value) => send({ type: "field", name: field.name, value })}
        />
      ))}
    </fieldset>
  );
}

function Option({ field, send }: { field: Field; send: (value: unknown) => void }) {
  const id = useId();
  return (
    <span class="ms-option" title={field.help}>
      <label for={id}>{field.label}</label>
      <Control id={id} field={field} send={send} />
    </span>
  );
}

function Control({ id, field, send }: { id: string; field: Field; send: (value: unknown) => void }) {
  const [text, setText, drop] = useDraft(String(field.value ?? ""));
  const later = useDebounced(send, 200);
  if (field.kind === "flag") {
    return (
      <input
        id={id}
        type="checkbox"
        checked={field.value === true}
        onChange={(event) => send(event.currentTarget.checked)}
      />
    );
  }
  if (field.kind === "choice") {
    return (
      <select
        id={id}
        class="ms-input"
        value={String(field.value)}
        onChange={(event) => send(event.currentTarget.value)}
      >
        {field.choices.map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    );
  }
  const typed = (value: string) => {
    const number = Number(value);
    return field.kind === "text" || value.trim() === "" || !Number.isFinite(number) ? value.trim() : number;
  };
  return (
    <input
      id={id}
      class={`ms-input${field.name === "only" ? " ms-wide" : ""}`}
      spellcheck={false}
      value={text}
      onInput={(event) => {
        setText(event.currentTarget.value);
        later(typed(event.currentTarget.value));
      }}
      onBlur={() => {
        later.flush();
        drop();
      }}
    />
  );
}
