"""Graphs in Graphviz's language."""

import re

from graph.export.drawing import Point, drawing
from graph.export.text import visible
from graph.nodes import ModuleGraph


def to_dot(graph: ModuleGraph) -> str:
    """The calls and tensors of `graph`, its tree if it wasn't traced; ties are dotted lines.

    Opaque modules are dashed, and what made the forward fail stands below the picture. Characters
    that can't be printed are written as escapes.
    """
    drawn = drawing(graph)
    lines = ["digraph {", "  node [shape=box]"]
    if graph.problem:
        where = graph.problem.path or "(root)"
        lines.append(f"  label={quoted(f'{where}: the forward fails: {graph.problem.message}')}")
    lines += [f"  {point.id} [label={quoted(point.label)}{_look(point)}]" for point in drawn.points]
    for line in drawn.lines:
        label = f"label={quoted(line.label)}" if line.label else ""
        style = {"tie": "style=dotted dir=none constraint=false ", "child": "arrowhead=none "}
        lines.append(f"  {line.source} -> {line.target} [{style.get(line.kind, '')}{label}]")
    return "\n".join([*lines, "}"]) + "\n"


def quoted(text: str) -> str:
    r"""A DOT string that shows `text` as it is: no escapes (`\N`), no entities (`&lt;`) are read in it."""
    shown = "\n".join(map(visible, text.split("\n")))
    shown = re.sub(r"&(?=#?\w+;)", "&amp;", shown)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _look(point: Point) -> str:
    if point.opaque:
        return " style=dashed"
    return " shape=plaintext" if point.kind in ("input", "output") else ""
