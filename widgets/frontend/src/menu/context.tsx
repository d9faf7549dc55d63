// The menu at a node: what fits the selection, by group.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useDismiss } from "../shared/ui";
import { visible } from "../shared/visible";
import type { Command } from "./protocol";
import { offered } from "./search";

export interface Place {
  x: number;
  y: number;
}

interface Props {
  commands: Command[];
  title: string;
  at: Place;
  run: (command: Command) => void;
  more: () => void;
  close: () => void;
}

const MARGIN_PX = 8;

export function ContextMenu({ commands, title, at, run, more, close }: Props) {
  const element = useDismiss<HTMLDivElement>(true, close);
  const [place, setPlace] = useState<Place>(at);
  const focused = useRef(false);
  const groups = offered(commands);
  // Kept within what is seen of the studio, wherever it was asked for; then the first item has the focus.
  useLayoutEffect(() => {
    const menu = element.current;
    const room = menu?.offsetParent;
    if (!menu || !room) return;
    const [whole, seen] = [room.getBoundingClientRect(), visible(room)];
    menu.style.maxHeight = `${seen.bottom - seen.top - 2 * MARGIN_PX}px`;
    const within = (wanted: number, size: number, from: number, to: number) =>
      Math.max(from + MARGIN_PX, Math.min(wanted, to - MARGIN_PX - size));
    setPlace({
      x: within(at.x, menu.offsetWidth, seen.left - whole.left, seen.right - whole.left),
      y: within(at.y, menu.offsetHeight, seen.top - whole.top, seen.bottom - whole.top),
    });
    if (!focused.current) {
      focused.current = true;
      menu.querySelector<HTMLElement>('[role="menuitem"]')?.focus({ preventScroll: true });
    }
  }, [at.x, at.y, groups.length]);
  const onKeyDown = (event: KeyboardEvent) => {
    const items = [...(element.current?.querySelectorAll<HTMLElement>('[role="menuitem"]') ?? [])];
    const here = items.indexOf(document.activeElement as HTMLElement);
    const to: Record<string, number> = {
      ArrowDown: (here + 1) % items.length,
      ArrowUp: (here - 1 + items.length) % items.length,
      Home: 0,
      End: items.length - 1,
    };
    const next = to[event.key];
    if (next === undefined) return;
    event.preventDefault();
    items[next]?.focus();
  };
  return (
    <div
      class="ms-menu-at"
      role="menu"
      aria-label={`Operations on ${title}`}
      ref={element}
      style={{ left: `${place.x}px`, top: `${place.y}px` }}
      onKeyDown={onKeyDown}
    >
      <p class="ms-mono ms-clip" aria-hidden="true">
        {title}
      </p>
      {groups.map(({ group, commands: members }) => (
        // biome-ignore lint/a11y/useSemanticElements: a group of a menu is no fieldset
        <div key={group} role="group" aria-label={group}>
          {members.map((command) => (
            <button
              key={command.name}
              type="button"
              role="menuitem"
              title={command.summary || undefined}
              onClick={() => run(command)}
            >
              <span>{command.title}</span>
              {command.key && <kbd>{command.key}</kbd>}
            </button>
          ))}
        </div>
      ))}
      {/* biome-ignore lint/a11y/useSemanticElements: a group of a menu is no fieldset */}
      <div role="group" aria-label="More">
        <button type="button" role="menuitem" onClick={more}>
          <span>All commands …</span>
          <kbd>Ctrl-K</kbd>
        </button>
      </div>
    </div>
  );
}
