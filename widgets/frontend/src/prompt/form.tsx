// What is asked: a text, token ids or an image, and how the answer is drawn.
import { useRef, useState } from "preact/hooks";
import type { PanelProps } from "../shared/panel";
import { useDraft } from "../shared/ui";
import type { Asked, PromptMessage, PromptState } from "./protocol";

type Props = PanelProps<PromptState, PromptMessage>;

/** Files of more bytes are not sent: a server takes 8 MB in one message, unless it is told otherwise. */
const MOST_BYTES = 5_000_000;

/** A number within bounds, or null. */
export function readNumber(text: string, least: number, most: number, whole: boolean): number | null {
  const value = Number(text.trim().replace(",", "."));
  if (text.trim() === "" || !Number.isFinite(value) || value < least || value > most) return null;
  return whole && !Number.isInteger(value) ? null : value;
}

export function AskForm({ state, send }: Props) {
  const [prompt, setPrompt] = useDraft(state.prompt);
  const [tokens, setTokens] = useDraft(String(state.tokens));
  const [temperature, setTemperature] = useDraft(String(state.temperature));
  const [seed, setSeed] = useDraft(String(state.seed));
  const [example, setExample] = useDraft(state.example === null ? "" : String(state.example));
  const [image, setImage] = useState<Asked["image"]>(null);
  const read = {
    tokens: readNumber(tokens, 1, 1024, true),
    temperature: readNumber(temperature, 0, 100, false),
    seed: readNumber(seed, 0, 2 ** 31, true),
    example: example.trim() === "" ? null : readNumber(example, 0, state.examples - 1, true),
  };
  const takesText = state.takes !== "image";
  const wrongExample = example.trim() !== "" && read.example === null;
  const something = takesText ? prompt !== "" : image !== null || read.example !== null;
  const ready =
    something && !wrongExample && read.tokens !== null && read.temperature !== null && read.seed !== null;
  const ask = () => {
    const { tokens, temperature, seed } = read;
    if (!ready || state.running || tokens === null || temperature === null || seed === null) return;
    send({ type: "ask", prompt, tokens, temperature, seed, example: takesText ? null : read.example, image });
  };
  return (
    <form
      class="ms-prompt-ask"
      onSubmit={(event) => {
        event.preventDefault();
        ask();
      }}
    >
      {takesText ? (
        <textarea
          class="ms-input ms-mono"
          aria-label="Prompt"
          rows={2}
          spellcheck={false}
          placeholder={state.takes === "ids" ? "token ids: 12 7 33" : "Type a text to go on from"}
          value={prompt}
          onInput={(event) => setPrompt(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            ask();
          }}
        />
      ) : null}
      <div class="ms-prompt-ask-row">
        {!takesText && (
          <ImageChoice
            state={state}
            image={image}
            example={example}
            wrong={wrongExample}
            setImage={(chosen) => {
              setImage(chosen);
              if (chosen) setExample("");
            }}
            setExample={(text) => {
              setExample(text);
              setImage(null);
            }}
          />
        )}
        {state.writes && (
          <>
            <Field label="Tokens" value={tokens} wrong={read.tokens === null} set={setTokens} />
            <Field
              label="Temperature"
              tip="0 takes the likeliest token; above, both models draw with the same numbers"
              value={temperature}
              wrong={read.temperature === null}
              set={setTemperature}
            />
            {read.temperature !== 0 && (
              <Field label="Seed" value={seed} wrong={read.seed === null} set={setSeed} />
            )}
          </>
        )}
        <span class="ms-prompt-ask-gap" />
        {state.running ? (
          <button type="button" class="ms-button" onClick={() => send({ type: "stop" })}>
            Stop
          </button>
        ) : (
          <button
            type="submit"
            class="ms-primary"
            disabled={!ready}
            title="Enter; Shift-Enter for a new line"
          >
            Ask both
          </button>
        )}
      </div>
    </form>
  );
}

interface FieldProps {
  label: string;
  tip?: string;
  value: string;
  wrong: boolean;
  set: (text: string) => void;
}

function Field({ label, tip, value, wrong, set }: FieldProps) {
  return (
    <label class="ms-prompt-ask-field" title={tip}>
      <span>{label}</span>
      <input
        class="ms-input"
        inputMode="decimal"
        aria-label={label}
        aria-invalid={wrong}
        value={value}
        onInput={(event) => set(event.currentTarget.value)}
      />
    </label>
  );
}

interface ImageProps {
  state: PromptState;
  image: Asked["image"];
  example: string;
  wrong: boolean;
  setImage: (image: Asked["image"]) => void;
  setExample: (text: string) => void;
}

function ImageChoice({ state, image, example, wrong, setImage, setExample }: ImageProps) {
  const file = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const take = async (chosen: File | undefined) => {
    if (!chosen) return;
    const tooLarge = chosen.size > MOST_BYTES;
    setProblem(tooLarge ? "The file has more than 5 MB." : null);
    if (!tooLarge) setImage({ name: chosen.name, data: await base64(chosen) });
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a file may be dropped as well as chosen by the button
    <div
      class="ms-prompt-ask-image"
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void take(event.dataTransfer?.files[0]);
      }}
    >
      <input
        ref={file}
        type="file"
        accept="image/*"
        class="ms-hidden"
        tabIndex={-1}
        aria-label="Image file"
        onChange={(event) => void take(event.currentTarget.files?.[0])}
      />
      <button type="button" class="ms-button" onClick={() => file.current?.click()}>
        Choose an image …
      </button>
      {image && (
        <>
          <img src={`data:image/*;base64,${image.data}`} alt="" width={40} height={40} />
          <span class="ms-clip">{image.name}</span>
        </>
      )}
      {problem && <span class="ms-error">{problem}</span>}
      {state.examples > 0 && (
        <label class="ms-prompt-ask-field">
          <span>or example</span>
          <input
            class="ms-input"
            inputMode="numeric"
            aria-label="Example of the data"
            aria-invalid={wrong}
            placeholder={`0 to ${state.examples - 1}`}
            value={example}
            onInput={(event) => setExample(event.currentTarget.value)}
          />
        </label>
      )}
    </div>
  );
}

/** The bytes of a file as base64. */
function base64(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
