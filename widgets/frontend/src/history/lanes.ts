// Where each state of the history stands: a row per state, a lane per branch.
import type { HistoryNode } from "./protocol";

export interface Placed {
  state: HistoryNode;
  row: number;
  lane: number;
  /** Row and lane of the parent, null at the root. */
  from: { row: number; lane: number } | null;
  /** The last lane in use in this row, lines that only pass through included: text starts after it. */
  reach: number;
}

/** The first child of a state goes on in its lane; every other child starts a lane of its own. */
export function placeStates(states: HistoryNode[]): Placed[] {
  const placed = new Map<string, Placed>();
  const continued = new Set<string>();
  let lanes = 0;
  states.forEach((state, row) => {
    const parent = state.parent === null ? undefined : placed.get(state.parent);
    const goesOn = parent !== undefined && !continued.has(parent.state.id);
    if (goesOn) continued.add(parent.state.id);
    const lane = goesOn ? parent.lane : lanes++;
    placed.set(state.id, {
      state,
      row,
      lane,
      from: parent ? { row: parent.row, lane: parent.lane } : null,
      reach: lane,
    });
  });
  const all = [...placed.values()];
  for (const { row, lane, from } of all) {
    for (const passed of from ? all.slice(from.row + 1, row) : [])
      passed.reach = Math.max(passed.reach, lane);
  }
  return all;
}

/** Ids of the states from the root to the current one. */
export function lineage(states: readonly HistoryNode[]): ReadonlySet<string> {
  const byId = new Map(states.map((state) => [state.id, state]));
  const found = new Set<string>();
  for (let at = states.find((state) => state.current); at; at = byId.get(at.parent ?? "")) found.add(at.id);
  return found;
}
