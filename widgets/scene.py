"""The canvas's scene: the folded model, the opened block, threads, selection and hover facts."""

from __future__ import annotations

from typing import Any

from graph.flow import Flow, inside, overview
from graph.nodes import ModuleGraph, ModuleNode
from graph.rollup import Share, rollup
from surgery.session import Session
from surgery.show import short
from widgets.desk import Desk, Draft
from widgets.threads import numbers, threads


def scene(session: Session, desk: Desk) -> dict[str, Any]:
    """The canvas state of protocol.ts for this session and desk."""
    graph = session.graph
    flow = overview(graph)
    cells = {path for node in flow.nodes for path in node.paths}
    visible = cells | {node.path for node in flow.nodes if node.kind == "module"}
    drawn = threads(graph, visible)
    tied = numbers(drawn)
    opened = inside(graph, desk.opened) if desk.opened is not None else None
    leaving = going(graph, desk.draft)
    shown = visible | ({node.path for node in opened.nodes if node.kind == "module"} if opened else set())
    shares = rollup(graph)
    ends = {thread.index: thread.ends for thread in drawn}
    pending = _pending(desk.draft, visible, len(drawn))
    return {
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
                    "opaque": _opaque(graph, node.path) if node.kind == "module" else None,
                    "error": _error(graph, desk, node.path) if node.kind == "module" else None,
                    "cells": [_cell(session, path, tied, leaving) for path in node.paths],
                }
                for node in flow.nodes
            ],
            "edges": _edges(flow),
        },
        "ties": [{"index": thread.index, "ends": list(thread.ends), "pending": False} for thread in drawn]
        + pending,
        "open": _open(session, desk, opened, tied),
        "selection": desk.selection,
        "facts": {path: _facts(graph, graph[path], shares[path], tied, ends) for path in sorted(shown)},
        "alert": _alert(desk),
        "legend": None,
        "scores": None,
        "empty": None
        if flow.nodes
        else "Nothing was traced: open the model with example inputs to see its flow.",
    }


def _open(
    session: Session, desk: Desk, flow: Flow | None, tied: dict[str, list[int]]
) -> dict[str, Any] | None:
    if flow is None or desk.opened is None:
        return None
    graph = session.graph
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
                "kind": "function" if item.kind == "strip" else item.kind,
                "path": item.path,
                "title": _label(item.title, item.path),
                "subtitle": item.subtitle,
                "ties": tied.get(item.path, []) if item.kind == "module" else [],
                "adapted": item.kind == "module" and _adapted(graph, item.path),
                "opaque": _opaque(graph, item.path) if item.kind == "module" else None,
                "error": _error(graph, desk, item.path) if item.kind == "module" else None,
            }
            for item in flow.nodes
        ],
        "edges": _edges(flow),
    }


def _label(title: str, path: str) -> str:
    """The module's own name also where an adapter has put it one level down."""
    return path.split(".")[-2] if title == "base" and "." in path else title


def _cell(session: Session, path: str, tied: dict[str, list[int]], leaving: set[str]) -> dict[str, Any]:
    graph = session.graph
    changed = graph[path].origin.partition(":")[0].isdigit()
    return {
        "path": path,
        "label": path.rpartition(".")[2],
        "ties": tied.get(path, []),
        "mark": "remove" if path in leaving else "new" if changed else None,
        "adapted": _adapted(graph, path),
    }


def _adapted(graph: ModuleGraph, path: str) -> bool:
    prefix = f"{path}."
    own = path.rpartition(".")[0] if path.endswith(".base") else path
    return any(
        node.class_name == "LoraLinear" and (node.path in (path, own) or node.path.startswith(prefix))
        for node in graph.modules
    )


def going(graph: ModuleGraph, draft: Draft | None) -> set[str]:
    """Paths whose modules the drafted step would take out, followed by origin."""
    if draft is None or draft.preview is None:
        return set()
    left = {node.origin for node in draft.preview.graph.modules}
    return {node.path for node in graph.modules if node.origin not in left}


def _pending(draft: Draft | None, visible: set[str], count: int) -> list[dict[str, Any]]:
    if draft is None or draft.operation != "tie" or draft.preview is None:
        return []
    step = draft.preview.steps[0]
    ends = [str(getattr(step, "to")), *getattr(step, "targets").paths]  # noqa: B009  Tie has them, Operation not
    if not visible.issuperset(ends):
        return []
    return [{"index": count + 1, "ends": ends, "pending": True}]


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
    if graph.problem is not None and graph.problem.path == path:
        return graph.problem.message
    return None


def _alert(desk: Desk) -> dict[str, str] | None:
    error = desk.alert
    if error is None or not error.path:
        return None
    return {"path": error.path, "text": error.problem, "hint": error.hint or ""}


def _facts(
    graph: ModuleGraph,
    node: ModuleNode,
    share: Share,
    tied: dict[str, list[int]],
    ends: dict[int, tuple[str, ...]],
) -> dict[str, Any]:
    calls = [call for call in graph.calls if call.module == node.path and call.function is None]
    said = dict(node.attributes)
    head = node.class_name
    if "in_features" in said and "out_features" in said:
        head += f" {said['in_features']} → {said['out_features']}"
    if node.tensors:
        head += f" · {node.tensors[0].dtype}"
    lines = [head]
    if share.parameters:
        shared = f", {short(share.shared)} shared" if share.shared else ""
        lines.append(f"{short(share.owned)} own{shared} · {short(share.size_bytes, 'B')}")
    if calls and calls[0].inputs and calls[0].outputs:
        lines.append(f"{_shape(calls[0].inputs[0].shape)} → {_shape(calls[0].outputs[0].shape)}")
    if share.macs:
        lines.append(f"{short(share.macs / graph.tokens)} MACs per token")
    partners = [end for index in tied.get(node.path, []) for end in ends.get(index, ()) if end != node.path]
    if partners:
        lines.append(f"tied with {', '.join(dict.fromkeys(partners))}")
    return {"title": node.path or graph.class_name, "lines": lines, "note": node.opaque}


def _shape(sides: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in sides)
