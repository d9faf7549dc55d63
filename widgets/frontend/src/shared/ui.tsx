// Small pieces that several panels share.
import { useEffect, useRef, useState } from "preact/hooks";
import { tieColour } from "./palette";

/** A tie's ring with its number: hue alone would not tell ties apart. */
export function TieRing({ index }: { index: number }) {
  return (
    <span class="ms-ring" style={{ borderColor: tieColour(index) }} title={`tie ${index}`}>
      <span class="ms-hidden">tie </span>
      {index}
    </span>
  );
}

/** A sentence in which what stands between backticks is code. */
export function Said({ text }: { text: string }) {
  const parts = text.split("`");
  if (parts.length % 2 === 0) return <>{text}</>;
  return <>{parts.map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part))}</>;
}

interface CopyProps {
  text: string;
  label?: string;
  title?: string;
}

export function CopyButton({ text, label = "Copy", title }: CopyProps) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1400);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <button type="button" class="ms-link" title={title} onClick={() => copyText(text).then(setCopied)}>
      {copied ? "Copied" : label}
    </button>
  );
}

/** Copies; a page that is not a secure context has no clipboard, hence the second way. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Calls back when the pointer goes down outside the element, or Escape is pressed. */
export function useDismiss<E extends HTMLElement>(active: boolean, dismiss: () => void) {
  const element = useRef<E>(null);
  useEffect(() => {
    if (!active) return;
    const onPointer = (event: PointerEvent) => {
      if (!element.current?.contains(event.target as Node)) dismiss();
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // it has done what it was pressed for
      dismiss();
    };
    document.addEventListener("pointerdown", onPointer, true);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", onPointer, true);
      document.removeEventListener("keydown", onKey);
    };
  }, [active, dismiss]);
  return element;
}

/**
 * The text of an input that Python may also write: once typing began, what was typed wins over new
 * states, until the draft is dropped.
 */
export function useDraft(value: string): [string, (text: string) => void, () => void] {
  const [draft, setDraft] = useState<string | null>(null);
  return [draft ?? value, setDraft, () => setDraft(null)];
}

/** A debounced callback with `flush`; the last call wins, and nothing is lost on unmount. */
export function useDebounced<A extends unknown[]>(callback: (...args: A) => void, delay_ms: number) {
  const latest = useRef(callback);
  latest.current = callback;
  const [debounced] = useState(() => debounce((...args: A) => latest.current(...args), delay_ms));
  useEffect(() => debounced.flush, [debounced]);
  return debounced;
}

export interface Debounced<A extends unknown[]> {
  (...args: A): void;
  flush(): void;
}

export function debounce<A extends unknown[]>(
  callback: (...args: A) => void,
  delay_ms: number,
): Debounced<A> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let pending: A | null = null;
  const flush = () => {
    clearTimeout(timer);
    const args = pending;
    pending = null;
    if (args) callback(...args);
  };
  const call = (...args: A) => {
    pending = args;
    clearTimeout(timer);
    timer = setTimeout(flush, delay_ms);
  };
  return Object.assign(call, { flush });
}
