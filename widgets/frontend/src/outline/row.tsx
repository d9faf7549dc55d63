import { TieRing } from "../shared/ui";
import type { VisibleRow } from "./tree";

interface Props {
  item: VisibleRow;
  top_px: number;
  selected: boolean;
  found: boolean;
  active: boolean;
  onSelect: (path: string, event: MouseEvent) => void;
  onFold: (path: string, open: boolean) => void;
  onOpen: (path: string) => void;
  onMenu: (path: string, event: MouseEvent) => void;
}

const INDENT_PX = 14;
const MARK_WORDS = { remove: "will be removed", changed: "changed", new: "new" } as const;

export function Row({ item, top_px, selected, found, active, onSelect, onFold, onOpen, onMenu }: Props) {
  const { row, open } = item;
  const mark = row.mark ? MARK_WORDS[row.mark] : "";
  const figure = row.mark === "remove" ? mark : row.figure;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled by the tree, which knows the neighbours
    <div
      role="treeitem"
      data-path={row.path}
      class={`ms-row${found ? " ms-found" : ""}${row.mark ? ` ms-mark-${row.mark}` : ""}`}
      style={{ top: `${top_px}px`, paddingLeft: `${8 + row.depth * INDENT_PX}px` }}
      tabIndex={active ? 0 : -1}
      title={row.class_name ? `${row.path}\n${row.class_name}` : row.path}
      aria-level={row.depth + 1}
      aria-posinset={item.position}
      aria-setsize={item.siblings}
      aria-selected={selected}
      {...(row.expandable ? { "aria-expanded": open } : {})}
      onClick={(event) => onSelect(row.path, event)}
      onDblClick={() => onOpen(row.path)}
      onContextMenu={(event) => {
        event.preventDefault();
        onMenu(row.path, event);
      }}
    >
      <span
        class="ms-twisty"
        aria-hidden="true"
        onClick={(event) => {
          if (!row.expandable) return;
          event.stopPropagation();
          onFold(row.path, !open);
        }}
        onDblClick={(event) => event.stopPropagation()}
      >
        {row.expandable ? (open ? "▾" : "▸") : ""}
      </span>
      <span class="ms-title">{row.title}</span>
      <span class="ms-hidden">, {row.class_name}, </span>
      {row.ties.slice(0, 3).map((index) => (
        <TieRing key={index} index={index} />
      ))}
      <span class="ms-figure">{figure}</span>
      {mark && mark !== figure && <span class="ms-hidden">, {mark}</span>}
    </div>
  );
}
