// A dialog over the studio.

export function focusFirst(element: HTMLElement | null): void {
  if (element && !element.dataset.seen) {
    element.dataset.seen = "true";
    element.focus();
  }
}

interface SheetProps {
  label: string;
  close: () => void;
  children: preact.ComponentChildren;
}

/** Tab goes round within the dialog. */
function keepWithin(event: KeyboardEvent & { currentTarget: HTMLElement }): void {
  const stops = [...event.currentTarget.querySelectorAll<HTMLElement>("button:enabled, input")];
  const [first, last] = event.shiftKey ? [stops.at(-1), stops[0]] : [stops[0], stops.at(-1)];
  if (document.activeElement !== last) return;
  event.preventDefault();
  first?.focus();
}

/** A dialog over the studio; a press beside it, or Escape, closes it. */
export function Sheet({ label, close, children }: SheetProps) {
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a press beside the dialog closes it, as Escape does
    <div
      class="ms-veil"
      onPointerDown={(event) => event.target === event.currentTarget && close()}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          close();
        } else if (event.key === "Tab") keepWithin(event);
      }}
    >
      <div class="ms-sheet" role="dialog" aria-modal="true" aria-label={label}>
        {children}
      </div>
    </div>
  );
}
