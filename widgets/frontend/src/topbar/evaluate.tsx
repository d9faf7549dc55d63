import type { TopbarMessage } from "../protocol";
import { useDraft } from "../shared/ui";

interface Props {
  budget_s: number;
  busy: boolean;
  send: (message: TopbarMessage) => void;
}

/** The button and, inside it, the seconds it may take. */
export function Evaluate({ budget_s, busy, send }: Props) {
  const [draft, setDraft, dropDraft] = useDraft(String(budget_s));
  const seconds = readSeconds(draft);
  const evaluate = () => {
    if (seconds !== null) send({ type: "evaluate", budget_s: seconds });
  };
  return (
    <form
      class="ms-evaluate"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy) evaluate();
      }}
    >
      <button type="submit" disabled={busy || seconds === null} title="Evaluate (E)">
        Evaluate
      </button>
      <label title="time to spend, in seconds">
        <input
          aria-label="Seconds to spend"
          inputMode="decimal"
          value={draft}
          aria-invalid={seconds === null}
          style={{ width: `${Math.min(5, Math.max(1, draft.length))}ch` }}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onBlur={() => seconds === null && dropDraft()}
        />
        s
      </label>
    </form>
  );
}

/** Seconds as typed (a comma will do for a point), or null where they are none. */
export function readSeconds(text: string): number | null {
  const trimmed = text.trim().replace(",", ".");
  const value = Number(trimmed);
  return trimmed !== "" && Number.isFinite(value) && value > 0 && value <= 86_400 ? value : null;
}
