// Made-up states with as many nodes as asked for, to see how the canvas bears them.
import { cells, chain, overviewNode } from "./blocks";
import type { Scene } from "./scenes";

const WIDE = 70;

/** An opened block of `count` modules in a net of about twice as many wires, with scores and ties. */
function net(count: number) {
  const path = "model.layers.0";
  const rows = Math.min(WIDE, Math.ceil(Math.sqrt(count / 2)));
  const name = (i: number) => `${path}.part_${i}`;
  const nodes = Array.from({ length: count }, (_, i) => ({
    id: name(i),
    kind: "module",
    path: name(i),
    title: `${["q", "k", "v", "gate", "up"][i % 5]}_proj ${i}`,
    subtitle: `${(i % 97) + 1}.${i % 10} k`,
    ties: i % 50 === 0 ? [1 + (i % 6)] : [],
    adapted: i % 31 === 0,
    opaque: i % 211 === 7 ? "its routing reads values" : null,
    error: null,
  }));
  const edges = nodes.flatMap((node, i) =>
    [i + rows, i + rows + 1]
      .filter((next) => next < count)
      .map((next) => ({ source: node.id, target: name(next), residual: i % 400 === 0 })),
  );
  return { path, title: path, subtitle: `${count} modules`, nodes, edges };
}

/** `count` blocks in strips of a hundred that run side by side. */
function strips(count: number) {
  const whole = Math.ceil(count / 100);
  const across = Math.max(1, Math.round(Math.sqrt(whole / 8)));
  const nodes = Array.from({ length: whole }, (_, s) =>
    overviewNode(`s${s}`, "strip", `stage${s}`, `stage ${s}`, "100 alike", {
      cells: cells(100, { 7: "remove", 12: "new", 30: "changed" }).map((cell, i) => ({
        ...cell,
        path: `stage${s}.${i}`,
      })),
    }),
  );
  const edges = nodes.flatMap((node, s) => {
    const next = nodes[s + 1];
    return next && (s + 1) % across !== 0 ? [{ source: node.id, target: next.id, residual: false }] : [];
  });
  return { nodes, edges };
}

export function crowd(demo: Scene, kind: string, count: number): Scene {
  const overview =
    kind === "strips"
      ? strips(count)
      : {
          nodes: [
            overviewNode("embed", "card", "model.embed_tokens", "embed", "32.8 k"),
            overviewNode("layers", "strip", "model.layers", "layers", "10 alike", { cells: cells(10, {}) }),
            overviewNode("head", "card", "lm_head", "lm_head"),
          ],
          edges: chain(["embed", "layers", "head"]),
        };
  const open = kind === "strips" ? null : net(count);
  const paths = open
    ? open.nodes.map((node) => node.path)
    : overview.nodes.flatMap((node) => (node.cells as { path: string }[]).map((cell) => cell.path));
  const scores = Object.fromEntries(
    paths.filter((_, i) => i % 2 === 0).map((path, i) => [path, Math.abs(Math.sin(i / 40))]),
  );
  const ties = Array.from({ length: Math.min(1000, Math.floor(count / 10)) }, (_, i) => ({
    index: i + 1,
    ends: [paths[i * 7] ?? "", paths[i * 7 + 3] ?? ""],
    pending: false,
  }));
  const canvas = { ...demo.canvas, overview, open, ties, scores, selection: [], facts: {}, alert: null };
  return { ...demo, canvas };
}
