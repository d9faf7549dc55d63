"""Graphs, figures and operations as text for people."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from graph.costs import costs
from graph.export import to_json
from graph.nodes import ModuleGraph, ModuleNode
from graph.tree import join
from graph.units import short
from surgery.registry import operations
from surgery.selecting import resolve


def graph_json(graph: ModuleGraph) -> str:
    """The whole graph as JSON text."""
    return json.dumps(to_json(graph))


def print_tree(graph: ModuleGraph, *, depth: int = 3, select: str = "") -> None:
    """Prints the tree down to `depth` levels, or the modules that `select` matches, with their figures."""
    console = Console(soft_wrap=True)
    if select:
        for path in resolve(select, graph):
            console.print(_line(graph, graph[path], path))
        return
    root = graph[""]
    tree = Tree(_line(graph, root, graph.class_name))
    _grow(tree, graph, root, depth)
    console.print(tree)
    for tie in graph.ties:
        console.print(Text(f"tie {tie.index + 1} ({tie.kind}): {' = '.join(tie.paths)}"))
    if graph.problem:
        console.print(Text(f"{graph.problem.path}: the forward fails: {graph.problem.message}"))


def _grow(tree: Tree, graph: ModuleGraph, node: ModuleNode, depth: int) -> None:
    if depth <= 0:
        return
    for name in node.children:
        child = graph[join(node.path, name)]
        _grow(tree.add(_line(graph, child, child.name)), graph, child, depth - 1)


def _line(graph: ModuleGraph, node: ModuleNode, label: str) -> Text:
    figures = costs(graph, node.path)
    line = Text(label, style="bold").append(f"  {node.class_name}", style="dim")
    if figures.parameters:
        line.append(f"  {short(figures.parameters)} parameters, {short(figures.size_bytes, 'B')}")
    if figures.macs:
        line.append(f", {short(figures.macs_per_token)} MACs per token")
    return line


def print_operations() -> None:
    """Prints every operation with what becomes true, its fields and its source."""
    table = Table(box=None, padding=(0, 2, 1, 0))
    for title in ("operation", "what becomes true", "fields", "source"):
        table.add_column(title)
    for name, cls in operations().items():
        fields = ", ".join(
            spec.name if spec.required else f"{spec.name}={spec.default!r}" for spec in cls.specs
        )
        table.add_row(name, Text(cls.summary()), Text(fields), Text(cls.source))
    Console().print(table)
