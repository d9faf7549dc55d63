"""The outline: every module in tree order with its figure, tie badges and marks."""

from __future__ import annotations

from typing import Any

from graph.flow import overview
from graph.nodes import ModuleGraph, ModuleNode
from graph.rollup import Share, rollup
from graph.threads import numbers, threads
from graph.units import short
from widgets.desk import Desk
from widgets.marks import marks
from widgets.search import find


def rows(graph: ModuleGraph, desk: Desk) -> dict[str, Any]:
    """The lasting part of the outline state of protocol.ts: selecting and searching leave it as it is."""
    flow = overview(graph)
    visible = {path for node in flow.nodes for path in (*node.paths, node.path)}
    tied = numbers(threads(graph, visible))
    marked = marks(graph, desk)
    shares = rollup(graph)
    return {"rows": [_row(graph, node, shares[node.path], tied, marked) for node in graph.modules]}


def outline(graph: ModuleGraph, desk: Desk) -> dict[str, Any]:
    """The outline state of protocol.ts; what the search finds is marked, not selected."""
    found = find(desk.search, graph)
    return {
        "selection": desk.selection,
        "search": desk.search,
        "found": list(found.paths),
        "matches": len(found.paths) if desk.search and found.problem is None else None,
        "read_as": found.read_as,
        "search_error": found.problem,
        "saved": [{"name": name, "count": len(origins)} for name, origins in desk.saved.items()],
    }


def _row(
    graph: ModuleGraph, node: ModuleNode, share: Share, tied: dict[str, list[int]], marked: dict[str, str]
) -> dict[str, Any]:
    wholly_shared = share.parameters > 0 and share.owned == 0
    count = short(share.parameters) if share.parameters else ""
    return {
        "path": node.path,
        "title": node.name or graph.class_name,
        "class_name": node.class_name,
        "depth": node.path.count(".") + 1 if node.path else 0,
        "figure": "tied" if wholly_shared and not node.children else count,
        "ties": tied.get(node.path, []),
        "expandable": bool(node.children),
        "mark": marked.get(node.path),
    }
