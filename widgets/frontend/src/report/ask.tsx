// The button that takes what a tab shows.
import type { ReportMessage, ReportState } from "./protocol";

export type Ask = NonNullable<ReportState["ask"]>;

export function AskButton({ ask, send }: { ask: Ask; send: (message: ReportMessage) => void }) {
  return (
    <button
      type="button"
      class="ms-button ms-measure"
      onClick={() => send({ type: "measure", what: ask.what })}
    >
      {ask.title}
    </button>
  );
}
