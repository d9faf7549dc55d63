// Which edit to make next: what it saves and costs, why, and a button that makes it.
import { useState } from "preact/hooks";
import { Said } from "../shared/ui";
import type { ReportMessage, Suggestion } from "./protocol";

interface Props {
  suggestions: Suggestion[];
  send: (message: ReportMessage) => void;
}

export function SuggestionList({ suggestions, send }: Props) {
  return (
    <section class="ms-suggestions" aria-label="Suggestions">
      <h3>Suggestions</h3>
      <ol>
        {suggestions.map((item, place) => (
          <Card
            key={item.words}
            item={item}
            show={() => send({ type: "select", paths: item.paths, mode: "set" })}
            take={() => send({ type: "suggestion_apply", count: place })}
          />
        ))}
      </ol>
    </section>
  );
}

function Card({ item, show, take }: { item: Suggestion; show: () => void; take: () => void }) {
  const [open, setOpen] = useState(false);
  return (
    <li>
      <div class="ms-suggestion">
        <button type="button" class="ms-suggestion-words" title="show where" onClick={show}>
          <b>{item.words}</b>
          <span class="ms-soft">
            {item.saves} · {item.costs}
          </span>
        </button>
        <button
          type="button"
          class="ms-link"
          aria-expanded={open}
          aria-label={`Why ${item.words}`}
          onClick={() => setOpen(!open)}
        >
          Why
        </button>
        <button type="button" class="ms-link" aria-label={`Apply ${item.words}`} onClick={take}>
          Apply
        </button>
      </div>
      {open && (
        <ul class="ms-why">
          {item.why.map((reason) => (
            <li key={reason}>
              <Said text={reason} />
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}
