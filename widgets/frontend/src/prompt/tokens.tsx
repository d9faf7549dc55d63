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

type Tokens = Column["tokens"];
interface Word {
  start: number;
  tokens: Tokens;
  breaks: boolean;
}

/** Of more tokens a word may be broken: it may be none. */
const LONGEST = 24;

/** Tokens that stay on one line: up to a blank, or from one that the next token begins with. */
export function words(tokens: Tokens): Word[] {
  const found: Word[] = [];
  tokens.forEach((token, start) => {
    const last = found.at(-1);
    const before = last?.tokens.at(-1)?.text.at(-1) ?? "";
    const apart = /[·↵⇥]/.test(before) || (token.text.length > 1 && token.text.startsWith("·"));
    if (!last || apart || last.breaks || last.tokens.length >= LONGEST)
      found.push({ start, tokens: [token], breaks: token.breaks });
    else {
      last.tokens.push(token);
      last.breaks = token.breaks;
    }
  });
  return found;
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
        {words(tokens).map((word) => (
          <Fragment key={word.start}>
            <span class="ms-word">
              {word.tokens.map((token, at) => {
                const position = word.start + at;
                return (
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
                  </Fragment>
                );
              })}
            </span>
            {word.breaks ? <br /> : <wbr />}
          </Fragment>
        ))}
        {running && <span class="ms-caret" aria-hidden="true" />}
      </div>
    </section>
  );
}
