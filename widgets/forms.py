"""The inspector: verbs for the selection, and an operation's form made from its typed fields."""

from __future__ import annotations

import json
from typing import Any

from graph.nodes import ModuleGraph, ModuleNode
from graph.paths import escape, is_below
from graph.rollup import rollup
from surgery.fields import FieldSpec
from surgery.merging import Merging
from surgery.registry import operation_named, operations
from surgery.script import python_of
from widgets.adapters import adapter_around, adapters
from widgets.desk import Desk, Draft, is_numbered, selector_of
from widgets.facts import selected
from widgets.figures import preview_rows

GROUPS = {
    **{"tie": "Tie", "untie": "Untie", "merge": "Merge", "prune": "Prune"},
    **{"arrange": "Arrange", "attach": "Attach", "adjust": "Adjust"},
}

_SHOWN_KINDS = {
    **{"paths": "text", "parents": "text", "integers": "numbers"},
    **{"schedule": "text", "schedules": "text"},
}
_LINEAR = ("Linear", "Conv1D")
_LISTS = ("ModuleList", "ModuleDict")

# What a choice means, where its value alone does not say it.
_CHOICES = {
    ("tie", "start"): {"to": "the kept module's", "average": "average of all"},
    ("sparsify", "scope"): {"tensor": "each tensor by itself", "global": "all together"},
    ("attach", "adapter"): {"lora": "LoRA"},
    ("duplicate", "order"): {"span": "behind them all", "each": "each behind its own"},
    ("skip", "gives"): {"auto": "what suits it", "input": "its input", "zeros": "zeros"},
}

# First values of fields that a selection says nothing about.
_FIRST = {("insert", "module"): "linear", ("replace", "module"): "identity"}


def inspector(graph: ModuleGraph, desk: Desk) -> dict[str, Any]:
    """The inspector state of protocol.ts."""
    return {
        "title": _title(graph, desk.selection),
        "detail": selector_of(desk.selection, graph) if desk.selection else "",
        "facts": selected(graph, desk.selection),
        "groups": _groups(graph, desk),
        "form": _form(desk.draft) if desk.draft else None,
        "dry_run": _dry_run(desk.draft) if desk.draft else None,
    }


def start(name: str, graph: ModuleGraph, selection: list[str], before: Draft | None = None) -> Draft:
    """A draft of the operation on the selection; a draft `before` of the same operation lends its values."""
    cls = operation_named(name)
    values = dict(before.values) if before is not None and before.operation == name else {}
    for spec in cls.specs:
        if spec.kind == "paths":
            values[spec.name] = _targets(name, graph, selection)
        elif spec.kind == "path":
            values[spec.name] = _target(name, spec.name, selection)
            if not spec.required and not values[spec.name]:
                del values[spec.name]
        elif (name, spec.name) in _FIRST or spec.required:
            values.setdefault(spec.name, _FIRST.get((name, spec.name), ""))
    if name == "replace" and "by" in values:  # a copy of the last one selected, and no new module
        values.pop("module", None)
    return Draft(name, values)


def change(draft: Draft, name: str, value: Any) -> None:
    """A field's new value as the form sends it; empty text of an optional field means its default."""
    spec = next(spec for spec in operation_named(draft.operation).specs if spec.name == name)
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
    draft.values[name] = value


def _over_depth(text: str, kind: str) -> Any:
    """`0.5`, `0, 0.5, 1` or `0.5, [0, 1]` as numbers and lists; the text itself where it is none of these."""
    try:
        found = json.loads(f"[{text}]")
    except ValueError:
        return text
    return found[0] if kind == "schedule" and len(found) == 1 else found


def _as_text(value: Any) -> str:
    """Numbers and lists as `_over_depth` reads them."""
    return json.dumps(value).removeprefix("[").removesuffix("]") if isinstance(value, list) else f"{value:g}"


def _title(graph: ModuleGraph, selection: list[str]) -> str:
    if not selection:
        return "Nothing selected"
    if len(selection) == 1:
        path = selection[0]
        short_path = ".".join(path.split(".")[-2:]) if _is_block(graph, path) else graph[path].name
        return short_path or graph.class_name
    kinds = {graph[path].class_name for path in selection}
    blocks = all(_is_block(graph, path) for path in selection)
    what = "blocks" if blocks else f"{kinds.pop()}s" if len(kinds) == 1 else "modules"
    return f"{len(selection)} {what}"


def _groups(graph: ModuleGraph, desk: Desk) -> list[dict[str, Any]]:
    reasons = _reasons(graph, desk.selection)
    current = desk.draft.operation if desk.draft else None
    made = []
    for name, title in GROUPS.items():
        members = [cls for cls in operations().values() if cls.group == name]
        fitting = [cls for cls in members if reasons[cls.name] is None]
        made.append(
            {
                "name": name,
                "title": title,
                "enabled": bool(fitting),
                "reason": None
                if fitting
                else next(filter(None, (reasons[cls.name] for cls in members)), None),
                "active": any(cls.name == current for cls in members),
                "operations": [
                    {"name": cls.name, "title": cls.title, "active": cls.name == current}
                    for cls in members
                    if cls in fitting or cls.name == current
                ],
            }
        )
    return made


def _reasons(graph: ModuleGraph, selection: list[str]) -> dict[str, str | None]:
    """Why each operation does not suit the selection; None if it does, as far as one sees at once."""
    if not selection:
        return dict.fromkeys(operations(), "select something first")
    blocks, shares = all(_is_block(graph, path) for path in selection), rollup(graph)
    adapted = any(_near(path, selection) for path in adapters(graph))
    parts = all(path and graph[path].class_name not in _LISTS for path in selection) or "select parts"
    floats = any(
        _has_floats(node) and is_below(node.path, path) for node in graph.modules for path in selection
    )
    known = {
        **dict.fromkeys(("remove", "keep", "move", "duplicate"), blocks or "select blocks"),
        "swap": (blocks and len(selection) == 2) or "select two blocks",
        "merge": (blocks and len(selection) > 1) or "select two blocks or more",
        "tie": len(selection) > 1 or "select two modules or more",
        "untie": any(shares[path].shared for path in selection)
        or "nothing selected is tied to something else",
        "detach": adapted or "nothing selected carries an adapter",
        "fold": adapted or "nothing selected carries an adapter",
        **dict.fromkeys(
            ("attach", "adopt"), bool(_linears(graph, selection)) or "nothing selected is linear"
        ),
        "insert": (blocks and len(selection) == 1) or "select one block",
        **dict.fromkeys(("replace", "wrap", "skip"), parts),
        **dict.fromkeys(
            ("cast", "freeze", "scale", *_mergers()), floats or "nothing selected has parameters"
        ),
        "recalibrate": _has_statistics(graph, selection) or "nothing selected has running statistics",
    }
    return {name: None if (said := known.get(name, True)) is True else str(said) for name in operations()}


def _mergers() -> list[str]:
    return [name for name, cls in operations().items() if issubclass(cls, Merging)]


def _has_floats(node: ModuleNode) -> bool:
    return any(tensor.kind == "parameter" and "float" in tensor.dtype for tensor in node.tensors)


def _has_statistics(graph: ModuleGraph, selection: list[str]) -> bool:
    inside = [node for node in graph.modules if any(is_below(node.path, path) for path in selection)]
    return any(tensor.path.endswith(".running_mean") for node in inside for tensor in node.tensors)


def _near(adapter: str, selection: list[str]) -> bool:
    return any(path == f"{adapter}.base" or is_below(adapter, path) for path in selection)


def _is_block(graph: ModuleGraph, path: str) -> bool:
    parent = path.rpartition(".")[0]
    return bool(path) and parent in graph and is_numbered(graph, parent)


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
    if name in ("detach", "fold"):
        around = [adapter_around(graph, path) for path in selection]
        outer = [path if place is None else place for path, place in zip(selection, around, strict=True)]
        return selector_of(list(dict.fromkeys(outer)), graph)
    if name == "attach":
        return ", ".join(_linears(graph, selection))
    return selector_of(selection, graph)


def _linears(graph: ModuleGraph, selection: list[str]) -> list[str]:
    """Selectors of the linear modules at or under the selection that carry no adapter yet."""
    found: list[str] = []
    for path in selection:
        linear = [node for node in graph.modules if node.class_name in _LINEAR and is_below(node.path, path)]
        free = [node for node in linear if adapter_around(graph, node.path) is None]
        if len(free) < len(linear) or [node.path for node in free] == [path]:
            found += [selector_of([node.path for node in free], graph)] if free else []
        else:
            kinds = sorted({node.class_name for node in free})
            found += [f"{escape(path)}.**:{kind}".lstrip(".") for kind in kinds]
    return found


def _form(draft: Draft) -> dict[str, Any]:
    cls = operation_named(draft.operation)
    return {
        "operation": cls.name,
        "title": cls.title,
        "summary": cls.summary().replace("`", ""),
        "fields": [_field(spec, draft) for spec in cls.specs if spec.is_asked],
        "can_apply": draft.can_apply,
        "apply_label": f"Apply {cls.title.lower()}",
    }


def _field(spec: FieldSpec, draft: Draft) -> dict[str, Any]:
    value = draft.values.get(spec.name, spec.default)
    if spec.kind == "parents":
        value = ", ".join(value) if isinstance(value, list | tuple) else value
    elif isinstance(value, tuple):
        value = json.loads(json.dumps(value))
    elif spec.kind == "paths" and not isinstance(value, str):
        value = value.select
    if spec.kind in ("schedule", "schedules") and isinstance(value, list | int | float):
        value = _as_text(value)
    labels = _CHOICES.get((draft.operation, spec.name), {})
    bounded = spec.minimum is not None and spec.maximum is not None and spec.maximum <= 64
    return {
        "name": spec.name,
        "kind": _SHOWN_KINDS.get(spec.kind, spec.kind),
        "label": spec.name.replace("_", " ").capitalize(),
        "help": spec.help.replace("`", ""),
        "value": value,
        "choices": [{"value": choice, "label": labels.get(choice, choice)} for choice in spec.choices],
        "minimum": spec.minimum,
        "maximum": spec.maximum if bounded else None,
        "step": 0.01 if spec.kind == "number" and bounded else 1 if spec.kind == "integer" else None,
        "error": _field_error(spec, draft),
    }


def _field_error(spec: FieldSpec, draft: Draft) -> str | None:
    error = draft.error
    if error is None or draft.waiting or not error.problem.startswith(f"{draft.operation}.{spec.name} "):
        return None
    return f"{error.expected}" if error.expected is not None else error.problem


def _dry_run(draft: Draft) -> dict[str, Any]:
    """The dry run; while one is on its way the figures of the last are there, marked as stale."""
    error, preview = draft.error, draft.preview
    said = "nothing is changed yet" if preview else ""
    return {
        "caption": "computing …" if draft.waiting else said,
        "stale": draft.waiting,
        "rows": preview_rows(preview) if preview else [],
        "python": python_of(preview.steps[0]) if preview and not draft.waiting else "",
        "error": {"text": error.sentence(with_hint=False), "hint": error.hint or ""} if error else None,
    }
