// What opens over the studio: the palette (Ctrl-K), the menu at a node, the list of keys (?). Its keys work
// wherever the focus is in the studio, and on a page that is all studio wherever it is.
import { useEffect, useRef, useState } from "preact/hooks";
import { focusSearch, isTyping, shortcut } from "../shared/keys";
import { definePanel, keepKeys, type PanelProps } from "../shared/panel";
import { ContextMenu, type Place } from "./context";
import { Keys } from "./keys";
import { Palette } from "./palette";
import { type Command, type MenuMessage, type MenuState, menuState } from "./protocol";

type Shown = { kind: "palette" | "keys" } | { kind: "menu"; at: Place } | null;

function Menu({ state, send }: PanelProps<MenuState, MenuMessage>) {
  const anchor = useRef<HTMLDivElement>(null);
  const back = useRef<HTMLElement | null>(null);
  const [shown, setShown] = useState<Shown>(null);
  const open = useRef(false); // at once, where a state waits for the next picture
  const show = (next: Shown) => {
    if (!open.current) back.current = document.activeElement as HTMLElement | null;
    open.current = true;
    setShown(next);
  };
  const close = () => {
    open.current = false;
    setShown(null);
    back.current?.focus({ preventScroll: true });
  };
  const run = (command: Command) => {
    close();
    send({ type: "run", name: command.name });
  };

  useEffect(() => {
    const studio = anchor.current?.closest<HTMLElement>(".ms-studio");
    if (!studio) return;
    if (!studio.hasAttribute("tabindex")) keepKeys(studio); // the chart is no panel of ours
    const stop = new AbortController();
    const { signal } = stop;
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented) return;
      const act = actionOf(event, studio);
      if (!act) return;
      event.preventDefault();
      act();
    };
    const actionOf = (event: KeyboardEvent, studio: HTMLElement): (() => void) | null => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k")
        return () => show({ kind: "palette" });
      if (open.current || isTyping(event.target)) return null;
      if (event.key === "?") return () => show({ kind: "keys" });
      if (event.key === "/") return () => focusSearch(studio);
      const key = shortcut(event);
      return key ? () => send({ type: "key", key }) : null;
    };
    const onMenu = (event: Event) => {
      const { x, y } = (event as CustomEvent<Place>).detail;
      const corner = studio.getBoundingClientRect();
      show({ kind: "menu", at: { x: x - corner.left, y: y - corner.top } });
    };
    const whole = studio.classList.contains("ms-page");
    (whole ? document : studio).addEventListener("keydown", onKey as EventListener, { signal });
    studio.addEventListener("ms-menu", onMenu, { signal });
    return () => stop.abort();
  });

  const { commands, selection } = state;
  const title = selection.length === 1 ? (selection[0] ?? "") : `${selection.length} modules`;
  return (
    <div ref={anchor}>
      {shown?.kind === "palette" && <Palette commands={commands} run={run} close={close} />}
      {shown?.kind === "keys" && <Keys commands={commands} close={close} />}
      {shown?.kind === "menu" && (
        <ContextMenu
          commands={commands}
          title={title || "the model"}
          at={shown.at}
          run={run}
          more={() => setShown({ kind: "palette" })}
          close={close}
        />
      )}
    </div>
  );
}

export default definePanel("menu", menuState, Menu);
