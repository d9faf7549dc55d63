// One model's text, token by token: tinted by KL, walked by arrow keys, pressed to ask who is to blame.
import { Fragment } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Column } from "./protocol";

interface Props {
  column: Column;
  divergence: number | null;
  chosen: number | null;
  running: boolean;
  pick: (position: number) => void;
}

/** Where a key moves the focus among `count` tokens, or null for keys that mean nothing here. */
export function movedTo(key: string, at: number, count: number): number | null {
  const moves: Record<string, number> = {
    ArrowLeft: at - 1,
    ArrowUp: at - 1,
    ArrowRight: at + 1,
    ArrowDown: at + 1,
    Home: 0,
    End: count - 1,
  };
  const to = moves[key];
  return to === undefined ? null : Math.min(count - 1, Math.max(0, to));
}

export function TokenColumn({ column, divergence, chosen, running, pick }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [reached, setReached] = useState<number | null>(null);
  const { tokens } = column;
  // Tab comes to where one was, else to what was asked for, else to where the texts part.
  const stop = Math.min(reached ?? chosen ?? divergence ?? 0, tokens.length - 1);
  const walk = (event: KeyboardEvent) => {
    const to = movedTo(event.key, stop, tokens.length);
    if (to === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    setReached(to);
    box.current?.querySelectorAll<HTMLElement>("button")[to]?.focus();
  };
  return (
    <section class="ms-prompt-column" aria-label={`${column.title}'s answer`}>
      <h3 class="ms-heading">{column.title}</h3>
      <div
        class="ms-prompt-text"
        role="toolbar"
        aria-label={`Tokens of ${column.title.toLowerCase()}: Enter asks which step is to blame`}
        aria-busy={running}
        ref={box}
        onKeyDown={walk}
      >
        {tokens.map((token, position) => (
          <Fragment key={position}>
            {position === divergence && (
              <span class="ms-first-difference" title="the first difference" aria-hidden="true">
                ▸
              </span>
            )}
            <button
              type="button"
              class={`ms-token ms-kl-${token.level}`}
              title={token.tip}
              aria-label={`${token.tip}${position === divergence ? "; the first difference" : ""}`}
              aria-pressed={position === chosen}
              tabIndex={position === stop ? 0 : -1}
              onFocus={() => setReached(position)}
              onClick={() => pick(position)}
            >
              {token.text}
            </button>
            {token.breaks ? <br /> : <wbr />}
          </Fragment>
        ))}
        {running && <span class="ms-caret" aria-hidden="true" />}
      </div>
    </section>
  );
}
