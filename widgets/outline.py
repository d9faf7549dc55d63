"""The outline: every module in tree order with its figure, tie badges and marks."""

from __future__ import annotations

from typing import Any

from graph.flow import overview
from graph.nodes import ModuleGraph, ModuleNode
from graph.rollup import Share, rollup
from graph.threads import numbers, threads
from graph.units import short
from widgets.desk import Desk
from widgets.scene import going
from widgets.search import find


def outline(graph: ModuleGraph, desk: Desk) -> dict[str, Any]:
    """The outline state of protocol.ts; what the search finds is marked, not selected."""
    flow = overview(graph)
    visible = {path for node in flow.nodes for path in (*node.paths, node.path)}
    tied = numbers(threads(graph, visible))
    leaving = going(graph, desk.draft)
    found = find(desk.search, graph)
    shares = rollup(graph)
    return {
        "rows": [_row(graph, node, shares[node.path], tied, leaving) for node in graph.modules],
        "selection": desk.selection,
        "search": desk.search,
        "found": list(found.paths),
        "matches": len(found.paths) if desk.search and found.problem is None else None,
        "read_as": found.read_as,
        "search_error": found.problem,
    }


def _row(
    graph: ModuleGraph, node: ModuleNode, share: Share, tied: dict[str, list[int]], leaving: set[str]
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
        "mark": "remove" if node.path in leaving else "new" if node.is_new else None,
    }
