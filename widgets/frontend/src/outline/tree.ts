// Folding and walking the outline: pure functions over the flat list of rows.
import type { OutlineRow } from "./protocol";

/** Open or closed as a person left it, by path; what is not in it follows `opensAtFirst`. */
export type Folds = ReadonlyMap<string, boolean>;

export interface VisibleRow {
  row: OutlineRow;
  open: boolean;
  /** Place among its siblings, from 1, and how many they are. */
  position: number;
  siblings: number;
}

/** The blocks of a list are many and alike, so they start folded; so does what lies deep. */
export function opensAtFirst(row: OutlineRow): boolean {
  return row.expandable && row.depth < 3 && !/^\d+$/.test(row.title);
}

export function isOpen(row: OutlineRow, folds: Folds): boolean {
  return row.expandable && (folds.get(row.path) ?? opensAtFirst(row));
}

/** The rows that no folded ancestor hides, in tree order; linear in the number of rows. */
export function visibleRows(rows: readonly OutlineRow[], folds: Folds): VisibleRow[] {
  const visible: VisibleRow[] = [];
  let hiddenBelow = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    if (row.depth > hiddenBelow) continue;
    const open = isOpen(row, folds);
    hiddenBelow = open ? Number.POSITIVE_INFINITY : row.depth;
    visible.push({ row, open, position: 1, siblings: 1 });
  }
  numberSiblings(visible);
  return visible;
}

function numberSiblings(visible: VisibleRow[]): void {
  const groups: VisibleRow[][] = [];
  const close = (depth: number) => {
    for (const group of groups.splice(depth)) for (const item of group) item.siblings = group.length;
  };
  for (const item of visible) {
    close(item.row.depth + 1);
    while (groups.length <= item.row.depth) groups.push([]);
    const group = groups[item.row.depth];
    if (group) item.position = group.push(item);
  }
  close(0);
}

/** Paths of the rows above `index`, nearest first. */
export function ancestors(rows: readonly OutlineRow[], index: number): string[] {
  const found: string[] = [];
  let depth = rows[index]?.depth ?? 0;
  for (let i = index - 1; i >= 0 && depth > 0; i--) {
    const row = rows[i];
    if (row && row.depth < depth) {
      found.push(row.path);
      depth = row.depth;
    }
  }
  return found;
}

/** The folds with every ancestor of `paths` open; the same object where nothing changes. */
export function reveal(rows: readonly OutlineRow[], folds: Folds, paths: readonly string[]): Folds {
  const wanted = new Set(paths);
  const byPath = new Map(rows.map((row) => [row.path, row]));
  let result: Map<string, boolean> | null = null;
  rows.forEach((row, index) => {
    if (!wanted.has(row.path)) return;
    for (const path of ancestors(rows, index)) {
      const parent = byPath.get(path);
      if (parent && !isOpen(parent, result ?? folds)) {
        result ??= new Map(folds);
        result.set(path, true);
      }
    }
  });
  return result ?? folds;
}

/** Paths between two visible rows, both included, in tree order. */
export function rangeOf(visible: readonly VisibleRow[], from: string, to: string): string[] {
  const start = visible.findIndex((item) => item.row.path === from);
  const end = visible.findIndex((item) => item.row.path === to);
  if (end < 0) return [];
  if (start < 0) return [to];
  return visible.slice(Math.min(start, end), Math.max(start, end) + 1).map((item) => item.row.path);
}

/** First and last row to draw (last excluded) for a window that scrolls. */
export function windowOf(top_px: number, height_px: number, row_px: number, count: number, spare = 8) {
  const first = Math.max(0, Math.floor(top_px / row_px) - spare);
  const last = Math.min(count, Math.ceil((top_px + height_px) / row_px) + spare);
  return { first: Math.min(first, last), last };
}
