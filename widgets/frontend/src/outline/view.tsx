// The tree as a window over its visible rows: four thousand rows cost as much as forty.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { focusSearch, shortcut } from "../shared/keys";
import { askForMenu } from "../shared/menu";
import type { PanelProps } from "../shared/panel";
import { moveFor } from "./navigate";
import type { OutlineMessage, OutlineState } from "./protocol";
import { Row } from "./row";
import { type Folds, rangeOf, reveal, visibleRows, windowOf } from "./tree";

const ROW_PX = 24;
/** A search that selects hundreds must not unfold the whole tree. */
const MOST_REVEALED = 12;

export function Tree({ state, send }: PanelProps<OutlineState, OutlineMessage>) {
  const scroller = useRef<HTMLDivElement>(null);
  const [folds, setFolds] = useState<Folds>(new Map());
  const [active, setActive] = useState("");
  const [anchor, setAnchor] = useState("");
  const [view, setView] = useState({ top: 0, height: 600 });
  const focusNext = useRef(false);

  // What a search finds is unfolded as long as it is searched for; clearing it folds everything back.
  const foundKey = state.found.join("\n");
  const found = useMemo(() => new Set(state.found), [foundKey]);
  const shownFolds = useMemo(
    () => reveal(state.rows, folds, state.found.slice(0, MOST_REVEALED)),
    [state.rows, folds, foundKey],
  );
  const visible = useMemo(() => visibleRows(state.rows, shownFolds), [state.rows, shownFolds]);
  const selection = useMemo(() => new Set(state.selection), [state.selection.join("\n")]);
  const indexOf = useMemo(() => new Map(visible.map((item, i) => [item.row.path, i])), [visible]);
  const activePath = indexOf.has(active) ? active : (visible[0]?.row.path ?? "");

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);

  // A selection made elsewhere (the canvas, a search) is shown here: unfolded and scrolled to.
  const selectionKey = state.selection.join("\n");
  useEffect(() => {
    const first = state.selection[0];
    if (first === undefined || state.selection.includes(activePath)) return;
    setFolds((folds) => reveal(state.rows, folds, state.selection.slice(0, MOST_REVEALED)));
    setActive(first);
    setAnchor(first);
  }, [selectionKey]);

  useEffect(() => {
    const first = state.found[0];
    if (first !== undefined) setActive(first);
  }, [foundKey]);

  useLayoutEffect(() => {
    const element = scroller.current;
    const index = indexOf.get(activePath);
    if (!element || index === undefined) return;
    const top = index * ROW_PX;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW_PX > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + ROW_PX - element.clientHeight;
    }
    if (focusNext.current) {
      focusNext.current = false;
      element.querySelector<HTMLElement>('[tabindex="0"]')?.focus({ preventScroll: true });
    }
  }, [active, indexOf]);

  const fold = (path: string, open: boolean) => setFolds((folds) => new Map(folds).set(path, open));
  const select = (path: string, event: { ctrlKey: boolean; metaKey: boolean; shiftKey: boolean }) => {
    setActive(path);
    if (event.shiftKey) {
      send({ type: "select", paths: rangeOf(visible, anchor || path, path), mode: "range" });
      return;
    }
    setAnchor(path);
    send({ type: "select", paths: [path], mode: event.ctrlKey || event.metaKey ? "toggle" : "set" });
  };

  const menu = (path: string, at: { left: number; bottom: number }) => {
    setActive(path);
    if (!selection.has(path)) send({ type: "select", paths: [path], mode: "set" });
    askForMenu(scroller.current, path, { x: at.left, y: at.bottom });
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "/") {
      event.preventDefault();
      focusSearch(event.currentTarget as Element);
      return;
    }
    if (event.key === "ContextMenu" || (event.shiftKey && event.key === "F10")) {
      event.preventDefault();
      menu(activePath, (event.target as Element).getBoundingClientRect());
      return;
    }
    const move = moveFor(event, visible, activePath);
    if (!move) {
      const key = shortcut(event);
      if (key) {
        event.preventDefault();
        send({ type: "key", key });
      }
      return;
    }
    event.preventDefault();
    focusNext.current = true;
    setActive(move.path);
    if (move.kind === "fold") fold(move.path, move.open);
    else if (move.kind === "open") send({ type: "open", path: move.path });
    else if (move.kind === "select")
      select(move.path, { ctrlKey: move.toggle, metaKey: false, shiftKey: false });
    else if (move.extend) {
      send({ type: "select", paths: rangeOf(visible, anchor || activePath, move.path), mode: "range" });
    }
  };

  const { first, last } = windowOf(view.top, view.height, ROW_PX, visible.length);
  const drawn = visible.slice(first, last).map((item, i) => ({ item, index: first + i }));
  // The row that holds the focus stays in the page when it is scrolled away, or the focus would be lost.
  const activeIndex = indexOf.get(activePath);
  const activeItem = activeIndex === undefined ? undefined : visible[activeIndex];
  if (activeItem && activeIndex !== undefined && (activeIndex < first || activeIndex >= last)) {
    drawn.push({ item: activeItem, index: activeIndex });
  }

  return (
    <div
      class="ms-scroll ms-tree-scroll"
      ref={scroller}
      onScroll={(event) =>
        setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })
      }
    >
      <div
        role="tree"
        aria-label="Modules"
        aria-multiselectable="true"
        class="ms-tree"
        style={{ height: `${visible.length * ROW_PX}px` }}
        onKeyDown={onKeyDown}
      >
        {drawn.map(({ item, index }) => (
          <Row
            key={item.row.path}
            item={item}
            top_px={index * ROW_PX}
            selected={selection.has(item.row.path)}
            found={found.has(item.row.path)}
            active={item.row.path === activePath}
            onSelect={select}
            onFold={fold}
            onOpen={(path) => send({ type: "open", path })}
            onMenu={(path, event) => menu(path, { left: event.clientX, bottom: event.clientY })}
          />
        ))}
      </div>
    </div>
  );
}
