// Long stretches of blocks that are the same on both sides are folded into one cell.
import type { Shown } from "./protocol";

export type Column = Shown["columns"][number];
export type Piece = { kind: "one"; column: Column } | { kind: "run"; columns: Column[] };

/** Runs of at least `least` unchanged columns as one piece, but for the first and last of each. */
export function folded(columns: readonly Column[], least = 6): Piece[] {
  const pieces: Piece[] = [];
  let run: Column[] = [];
  const close = () => {
    const one = (column: Column): Piece => ({ kind: "one", column });
    if (run.length >= least) {
      const [first, ...rest] = run;
      const last = rest.pop();
      if (first && last) pieces.push(one(first), { kind: "run", columns: rest }, one(last));
    } else pieces.push(...run.map(one));
    run = [];
  };
  for (const column of columns) {
    if (column.mark === null) run.push(column);
    else {
      close();
      pieces.push({ kind: "one", column });
    }
  }
  close();
  return pieces;
}

export const keyOf = (piece: Piece): string =>
  piece.kind === "run" ? `run ${piece.columns[0]?.path}` : `${piece.column.mark} ${piece.column.path}`;
