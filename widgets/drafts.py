"""Drafts of operations: started on a selection, changed field by field, or made of a step."""

from __future__ import annotations

import json
from typing import Any

from graph.naming import selector_of
from graph.nodes import ModuleGraph
from graph.paths import escape
from surgery.adapters.drawn import adapter_around
from surgery.fields import Options, Parent, Target, Targets
from surgery.operation import Operation
from surgery.registry import operation_named
from widgets.desk import Draft
from widgets.fitting import beside, linears
from widgets.reaching import reach

# First values of fields that a selection says nothing about.
_FIRST: dict[tuple[str, str], Any] = {
    ("insert", "module"): "linear",
    ("replace", "module"): "identity",
    ("low_rank", "size"): 0.5,
    ("narrow", "ratio"): 0.5,
    ("prune", "ratio"): 0.2,
    ("share_atoms", "atoms"): 2,
    ("shorten", "count"): 1,
    ("tucker", "energy"): 0.9,
}
_ON_LINEARS = frozenset({"attach", "low_rank", "share_atoms"})
BESIDE = "second"
"""What an adapter is called at first that goes beside another."""


def start(name: str, graph: ModuleGraph, selection: list[str], before: Draft | None = None) -> Draft:
    """A draft of the operation on the selection; a draft `before` of the same operation lends its values."""
    cls = operation_named(name)
    values = dict(before.values) if before is not None and before.operation == name else {}
    far = reach(name, graph, selection)
    for spec in cls.specs:
        if spec.kind == "paths":
            values[spec.name] = _targets(name, graph, selection)
        elif spec.kind == "path":
            values[spec.name] = _target(name, spec.name, selection)
            if not spec.required and not values[spec.name]:
                del values[spec.name]
        elif spec.name in cls.one_of and any(other in values for other in cls.one_of):
            continue
        elif (name, spec.name) in (("recur", "loop"), ("stitch", "at")):  # half of what there is
            values.setdefault(spec.name, max(1, (far.get(spec.name, 1) + 1) // 2))
        elif (name, spec.name) in _FIRST or spec.required:
            values.setdefault(spec.name, _FIRST.get((name, spec.name), ""))
    if (
        name == "attach"
        and (there := beside(graph, selection))
        and values["targets"] == selector_of(there, graph)
    ):
        values.setdefault("called", BESIDE)
    if name == "replace" and "by" in values:  # a copy of the last one selected, and no new module
        values.pop("module", None)
    return Draft(name, values, reach=far)


def change(draft: Draft, name: str, value: Any) -> None:
    """A field's new value as the form sends it; empty text of an optional field means its default."""
    cls = operation_named(draft.operation)
    spec = next(spec for spec in cls.specs if spec.name == name)
    if value in ("", None) and not spec.required:
        draft.values.pop(name, None)
        return
    if spec.kind == "parents" and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if spec.kind in ("schedule", "schedules") and isinstance(value, str):
        value = _over_depth(value, spec.kind)
    if spec.kind == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if spec.kind == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if name in cls.one_of:  # it takes the place of the others
        draft.values = {key: item for key, item in draft.values.items() if key not in cls.one_of}
    draft.values[name] = value
    asked = cls.asked(draft.values)
    draft.values = {key: item for key, item in draft.values.items() if key in asked}


def draft_of(step: Operation) -> Draft:
    """The step as the inspector's form would have been filled in for it."""
    values: dict[str, Any] = {}
    for spec in step.specs:
        value = getattr(step, spec.name)
        if spec.is_asked and (spec.required or value != spec.default):
            values[spec.name] = _as_typed(value)
    return Draft(step.name, values)


def _over_depth(text: str, kind: str) -> Any:
    """`0.5`, `0, 0.5, 1` or `0.5, [0, 1]` as numbers and lists; the text itself where it is none of these."""
    try:
        found = json.loads(f"[{text}]")
    except ValueError:
        return text
    return found[0] if kind == "schedule" and len(found) == 1 else found


def _target(name: str, field: str, selection: list[str]) -> str:
    """What a field for one module starts with: the first of the selection, if nothing else is said."""
    if (name, field) in (("move", "to"), ("replace", "by")):
        return escape(selection[-1]) if len(selection) > 1 else ""
    place = 1 if (name, field) == ("swap", "other") else 0
    return escape(selection[place]) if len(selection) > place else ""


def _targets(name: str, graph: ModuleGraph, selection: list[str]) -> str:
    if name == "tie":
        return selector_of(selection[1:], graph)
    if name in ("move", "replace") and len(selection) > 1:
        return selector_of(selection[:-1], graph)
    if name in ("detach", "fold", "activate", "combine"):
        around = [adapter_around(graph, path) for path in selection]
        outer = [path if place is None else place for path, place in zip(selection, around, strict=True)]
        return selector_of(list(dict.fromkeys(outer)), graph)
    if name in _ON_LINEARS:
        return ", ".join(linears(graph, selection))
    return selector_of(selection, graph)


def _as_typed(value: Any) -> Any:
    """A field's value as a form holds it."""
    if isinstance(value, Targets | Target):
        return value.select
    if isinstance(value, Options):
        return str(value)
    if isinstance(value, tuple):
        return [str(item) if isinstance(item, Parent) else _as_typed(item) for item in value]
    return value
