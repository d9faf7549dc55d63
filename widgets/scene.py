"""The canvas's scene: the folded model, the opened block, threads, selection and hover facts."""

from __future__ import annotations

from typing import Any

from graph.flow import Flow, inside, overview
from graph.nodes import ModuleGraph
from graph.paths import is_below
from graph.rollup import rollup
from graph.threads import numbers, threads
from graph.units import short
from surgery.adapters.drawn import adapted, drawn_whole
from surgery.evaluate.sweep.colours import effects
from surgery.history import State
from surgery.picture.names import told_apart
from widgets.colouring import choices, line, scores
from widgets.desk import Desk
from widgets.facts import activations, hover
from widgets.marks import ghost_ties, marks


def scene(graph: ModuleGraph, desk: Desk, state: State) -> dict[str, Any]:
    """The canvas state of protocol.ts for this graph and desk, with what was measured of `state`."""
    flow = told_apart(overview(graph))
    visible = set(flow.paths)
    drawn = threads(graph, visible)
    tied = numbers(drawn)
    opened = None if desk.opened is None else drawn_whole(inside(graph, desk.opened), graph, desk.opened)
    marked = marks(graph, desk)
    shown = visible.union(opened.paths if opened else ())
    shares = rollup(graph)
    ends = {thread.index: thread.ends for thread in drawn}
    flows = activations(graph, shown)
    pending = ghost_ties(graph, desk, visible, len(drawn))
    coloured = scores(desk.colour, graph, state)
    measured = effects(state.sweep)

    def told(path: str) -> dict[str, Any]:
        partners = _partners(path, tied, ends)
        facts = hover(graph, graph[path], shares[path], flows.get(path, ""), partners)
        return {**facts, "lines": [*facts["lines"], *measured.get(path, []), *line(desk.colour, path, state)]}

    return {
        "model": desk.model,
        "breadcrumb": _breadcrumb(desk.opened),
        "overview": {
            "nodes": [
                {
                    "id": node.id,
                    "kind": "card" if node.kind == "module" else node.kind,
                    "path": node.path,
                    "title": node.title,
                    "subtitle": node.subtitle,
                    "ties": tied.get(node.path, []) if node.kind == "module" else [],
                    "mark": marked.get(node.path) if node.kind == "module" else None,
                    "opaque": _opaque(graph, node.path) if node.kind == "module" else None,
                    "error": _error(graph, desk, node.path) if node.kind == "module" else None,
                    "cells": [_cell(graph, path, tied, marked) for path in node.paths],
                }
                for node in flow.nodes
            ],
            "edges": _edges(flow),
        },
        "ties": [{"index": thread.index, "ends": list(thread.ends), "pending": False} for thread in drawn]
        + pending,
        "open": _open(graph, desk, opened, tied, marked),
        "selection": desk.selection,
        "facts": {path: told(path) for path in sorted(shown)},
        "alert": _alert(desk),
        "legend": coloured.legend if coloured else None,
        "scores": coloured.parts if coloured else None,
        "colour": {
            "value": desk.colour or "",
            "choices": [
                {"name": name, "title": title} for name, title in choices(desk.colour, state).items()
            ],
        },
        "empty": None
        if flow.nodes
        else "Nothing was traced: open the model with example inputs to see its flow.",
    }


def strips(graph: ModuleGraph) -> set[str]:
    """The containers that the overview draws as strips of blocks."""
    return {node.path for node in overview(graph).nodes if node.kind == "strip"}


def _open(
    graph: ModuleGraph, desk: Desk, flow: Flow | None, tied: dict[str, list[int]], marked: dict[str, str]
) -> dict[str, Any] | None:
    if flow is None or desk.opened is None:
        return None
    node = graph[desk.opened]
    alike = sum(other.structure == node.structure for other in graph.modules) - 1
    subtitle = f"{node.class_name} · {short(rollup(graph)[node.path].parameters)}"
    return {
        "path": node.path,
        "title": node.path,
        "subtitle": subtitle + (f" · alike: {alike} other{'s' if alike > 1 else ''}" if alike else ""),
        "nodes": [
            {
                "id": item.id,
                "kind": item.kind,
                "path": item.path,
                "title": item.title,
                "subtitle": item.subtitle,
                "ties": tied.get(item.path) or tied.get(f"{item.path}.base", [])
                if item.kind == "module"
                else [],
                "adapted": item.kind == "module" and adapted(graph, item.path),
                "mark": marked.get(item.path) if item.kind == "module" else None,
                "opaque": _opaque(graph, item.path) if item.kind == "module" else None,
                "error": _error(graph, desk, item.path) if item.kind == "module" else None,
                "cells": [_cell(graph, path, tied, marked) for path in item.paths],
            }
            for item in flow.nodes
        ],
        "edges": _edges(flow),
    }


def _cell(
    graph: ModuleGraph, path: str, tied: dict[str, list[int]], marked: dict[str, str]
) -> dict[str, Any]:
    return {
        "path": path,
        "origin": graph[path].origin,
        "label": path.rpartition(".")[2],
        "ties": tied.get(path, []),
        "mark": marked.get(path),
        "adapted": adapted(graph, path),
    }


def _breadcrumb(opened: str | None) -> list[dict[str, str]]:
    crumbs = [{"label": "model", "path": ""}]
    parts = opened.split(".") if opened else []
    for index, part in enumerate(parts):
        if index or part != "model":
            crumbs.append({"label": part, "path": ".".join(parts[: index + 1])})
    return crumbs


def _edges(flow: Flow) -> list[dict[str, Any]]:
    return [{"source": edge.source, "target": edge.target, "residual": edge.residual} for edge in flow.edges]


def _opaque(graph: ModuleGraph, path: str) -> str | None:
    return graph[path].opaque if path in graph else None


def _error(graph: ModuleGraph, desk: Desk, path: str) -> str | None:
    if desk.alert is not None and desk.alert.path == path:
        return desk.alert.problem
    if graph.problem is not None and path and is_below(graph.problem.path, path):  # also inside a closed card
        return graph.problem.message
    return None


def _alert(desk: Desk) -> dict[str, str] | None:
    error = desk.alert
    if error is None or not error.path:
        return None
    return {"path": error.path, "text": error.problem, "hint": error.hint or ""}


def _partners(path: str, tied: dict[str, list[int]], ends: dict[int, tuple[str, ...]]) -> list[str]:
    found = [end for index in tied.get(path, []) for end in ends.get(index, ()) if end != path]
    return list(dict.fromkeys(found))
