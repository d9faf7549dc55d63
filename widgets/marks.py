"""Ghosts: what the draft and the pending edits would do to the modules that are drawn now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graph.nodes import ModuleGraph
from surgery.fields import Target, Targets
from surgery.operation import Operation
from widgets.desk import Desk


def marks(graph: ModuleGraph, desk: Desk) -> dict[str, str]:
    """By path: `remove` for what would go, `changed` for what is pending elsewhere, `new` for what came."""
    found = {node.path: "new" for node in graph.modules if node.is_new}
    for step in _planned(graph, desk):
        if step.name != "tie":
            found |= dict.fromkeys(_targets(step), "changed")
    previews = [entry.after for entry in desk.planned.entries if entry.after]
    previews = previews[-1:] + ([desk.draft.preview] if desk.draft and desk.draft.preview else [])
    for preview in previews:
        left = {node.origin for node in preview.graph.modules}
        found |= {node.path: "remove" for node in graph.modules if node.origin not in left}
    return found


def ghost_ties(graph: ModuleGraph, desk: Desk, visible: set[str], count: int) -> list[dict[str, Any]]:
    """The ties that are planned or drafted between things that are drawn, numbered after `count`."""
    steps = list(_planned(graph, desk))
    if desk.draft is not None and desk.draft.preview is not None:
        steps.append(desk.draft.preview.steps[0])
    ends = [list(_ends(step)) for step in steps if step.name == "tie"]
    shown = [paths for paths in ends if visible.issuperset(paths)]
    return [{"index": count + place, "ends": paths, "pending": True} for place, paths in enumerate(shown, 1)]


def _planned(graph: ModuleGraph, desk: Desk) -> Iterator[Operation]:
    return (step for _, step in desk.planned.in_state(graph) if step is not None)


def _ends(step: Operation) -> Iterator[str]:
    """The module that is kept first."""
    yield from (value.path for value in _selectors(step) if isinstance(value, Target) and value.path)
    yield from _targets(step)


def _targets(step: Operation) -> Iterator[str]:
    for value in _selectors(step):
        if isinstance(value, Targets):
            yield from value.paths


def _selectors(step: Operation) -> Iterator[Any]:
    return (getattr(step, spec.name) for spec in step.specs)
