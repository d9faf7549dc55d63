// One field of an operation's form: a label, the control that fits its kind, help or its error.
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useDebounced } from "../shared/ui";
import type { Field } from "./protocol";
import { parsed, shown, sliderOf } from "./values";

interface Props {
  field: Field;
  send: (value: unknown) => void;
  /** The field that pointer or focus is on, by name, or null. */
  onAsk: (name: string | null) => void;
  /** Where the field leaves a way to send at once what it still holds. */
  flushes: Map<string, () => void>;
}

const DELAY_MS = 150;

export function FieldRow({ field, send, onAsk, flushes }: Props) {
  const id = useId();
  const delayed = useDebounced(send, DELAY_MS);
  useLayoutEffect(() => {
    flushes.set(field.name, delayed.flush);
    return () => {
      flushes.delete(field.name);
    };
  }, [flushes, field.name, delayed]);
  const below = field.error ?? field.help;
  const about = below ? { "aria-describedby": `${id}-below` } : {};
  const control = { id, ...about, "aria-invalid": field.error !== null };
  const ask = () => onAsk(field.name);
  const leave = () => onAsk(null);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: pointing only shows the help that is there anyway
    <div class="ms-field" onMouseEnter={ask} onMouseLeave={leave} onFocusCapture={ask} onBlurCapture={leave}>
      <label for={id}>{field.label}</label>
      <div>
        <Control field={field} control={control} send={send} delayed={delayed} />
        {below && (
          <p id={`${id}-below`} class={field.error ? "ms-error" : "ms-hidden"}>
            {below}
          </p>
        )}
      </div>
    </div>
  );
}

interface ControlProps {
  field: Field;
  control: { id: string; "aria-invalid": boolean };
  send: (value: unknown) => void;
  delayed: (value: unknown) => void;
}

function Control({ field, control, send, delayed }: ControlProps) {
  if (field.kind === "flag") return <Switch field={field} control={control} send={send} />;
  if (field.kind === "choice") {
    return (
      <select
        class="ms-input"
        {...control}
        value={String(field.choices.findIndex((choice) => same(choice.value, field.value)))}
        onChange={(event) => send(field.choices[Number(event.currentTarget.value)]?.value)}
      >
        {field.choices.map((choice, index) => (
          <option key={String(choice.value)} value={String(index)}>
            {choice.label}
          </option>
        ))}
      </select>
    );
  }
  return <TextControl field={field} control={control} delayed={delayed} />;
}

/** An input that keeps what is typed while it has the focus, with a slider where both bounds are known. */
function TextControl({ field, control, delayed }: Omit<ControlProps, "send">) {
  const [draft, setDraft] = useState<string | null>(null);
  const focused = useRef(false);
  const value = shown(field.value);
  // Python's answer replaces the draft, but never under the fingers of who is typing.
  useEffect(() => {
    if (!focused.current) setDraft(null);
  }, [value]);
  const text = draft ?? value;
  const slider = sliderOf(field);
  const numeric = field.kind === "number" || field.kind === "integer";
  const change = (next: string) => {
    setDraft(next);
    delayed(parsed(field.kind, next));
  };
  const focus = {
    onFocus: () => {
      focused.current = true;
    },
    onBlur: () => {
      focused.current = false;
    },
  };
  const listId = field.kind === "path" && field.choices.length > 0 ? `${control.id}-list` : undefined;
  return (
    <div class={slider ? "ms-slider" : undefined}>
      {slider && (
        <input
          type="range"
          aria-label={field.label}
          {...slider}
          value={Number.isFinite(Number(text)) && text !== "" ? Number(text) : slider.min}
          style={{ "--ms-part": `${partOf(Number(text), slider.min, slider.max)}%` }}
          onInput={(event) => change(event.currentTarget.value)}
          {...focus}
        />
      )}
      <input
        {...control}
        class={`ms-input${field.kind === "path" || field.kind === "numbers" ? " ms-mono" : ""}`}
        inputMode={numeric ? "decimal" : undefined}
        list={listId}
        spellcheck={false}
        value={text}
        onInput={(event) => change(event.currentTarget.value)}
        {...focus}
      />
      {listId && (
        <datalist id={listId}>
          {field.choices.map((choice) => (
            <option key={String(choice.value)} value={String(choice.value)}>
              {choice.label}
            </option>
          ))}
        </datalist>
      )}
    </div>
  );
}

function Switch({ field, control, send }: Omit<ControlProps, "delayed">) {
  const on = field.value === true;
  return (
    <div class="ms-switch-row">
      <button
        type="button"
        role="switch"
        class="ms-switch"
        {...control}
        aria-checked={on}
        onClick={() => send(!on)}
      >
        <i />
      </button>
      <span class="ms-faint">{on ? "yes" : "no"}</span>
    </div>
  );
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function partOf(value: number, min: number, max: number): number {
  return Number.isFinite(value) ? Math.min(100, Math.max(0, (100 * (value - min)) / (max - min))) : 0;
}
