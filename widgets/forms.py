"""The inspector: verbs for the selection, and an operation's form made from its typed fields."""

from __future__ import annotations

from typing import Any

from graph.costs import costs
from graph.nodes import ModuleGraph
from surgery.fields import FieldSpec
from surgery.registry import operation_named, operations
from surgery.script import python_of
from surgery.session import Session
from surgery.show import short
from widgets.desk import Desk, Draft, selector_of
from widgets.figures import preview_rows

GROUPS = {"tie": "Tie", "untie": "Untie", "merge": "Merge", "prune": "Prune", "attach": "Attach"}

_SHOWN_KINDS = {"paths": "text", "parents": "text"}


def inspector(session: Session, desk: Desk) -> dict[str, Any]:
    """The inspector state of protocol.ts."""
    graph = session.graph
    return {
        "title": _title(graph, desk.selection),
        "detail": selector_of(desk.selection, graph) if desk.selection else "",
        "facts": _selection_facts(graph, desk.selection),
        "groups": [_group(session, desk, name, title) for name, title in GROUPS.items()],
        "form": _form(desk.draft) if desk.draft else None,
        "dry_run": _dry_run(desk.draft) if desk.draft else None,
    }


def start(name: str, session: Session, selection: list[str]) -> Draft:
    """A draft of the operation with values that suit the selection."""
    cls, graph = operation_named(name), session.graph
    values: dict[str, Any] = {}
    for spec in cls.specs:
        if spec.kind == "paths":
            values[spec.name] = _targets(name, graph, selection)
        elif spec.kind == "path":
            values[spec.name] = selection[0] if selection else ""
        elif spec.required:
            values[spec.name] = ""
    return Draft(name, values)


def change(draft: Draft, name: str, value: Any) -> None:
    """A field's new value as the form sends it; empty text of an optional field means its default."""
    spec = next(spec for spec in operation_named(draft.operation).specs if spec.name == name)
    if value in ("", None) and not spec.required:
        draft.values.pop(name, None)
        return
    if spec.kind == "parents" and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if spec.kind == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if spec.kind == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    draft.values[name] = value


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


def _selection_facts(graph: ModuleGraph, selection: list[str]) -> list[dict[str, str]]:
    if not selection:
        return []
    if len(selection) == 1:
        figures, node = costs(graph, selection[0]), graph[selection[0]]
        facts = [{"label": "Class", "value": node.class_name}]
        if figures.parameters:
            facts.append({"label": "Parameters", "value": short(figures.parameters)})
        if len(node.tensors) == 1:
            facts.append({"label": "Shape", "value": " × ".join(map(str, node.tensors[0].shape))})
        if figures.macs:
            facts.append({"label": "MACs per token", "value": short(figures.macs_per_token)})
        return facts
    total = sum(costs(graph, path).parameters for path in selection)
    macs = sum(costs(graph, path).macs_per_token for path in selection)
    return [{"label": "Parameters", "value": short(total)}, {"label": "MACs per token", "value": short(macs)}]


def _group(session: Session, desk: Desk, name: str, title: str) -> dict[str, Any]:
    members = [cls for cls in operations().values() if cls.group == name]
    current = desk.draft.operation if desk.draft else None
    reasons = {cls.name: _unfit(cls.name, session, desk.selection) for cls in members}
    fitting = [cls for cls in members if reasons[cls.name] is None]
    return {
        "name": name,
        "title": title,
        "enabled": bool(fitting),
        "reason": None if fitting else next((reason for reason in reasons.values() if reason), None),
        "active": any(cls.name == current for cls in members),
        "operations": [
            {"name": cls.name, "title": cls.title, "active": cls.name == current}
            for cls in members
            if cls in fitting or cls.name == current
        ],
    }


def _unfit(name: str, session: Session, selection: list[str]) -> str | None:
    """Why the operation does not suit the selection; None if it does, as far as one sees at once."""
    graph = session.graph
    if not selection:
        return "select something first"
    blocks = all(_is_block(graph, path) for path in selection)
    if name == "remove" and not blocks:
        return "select blocks"
    if name == "merge" and not (blocks and len(selection) > 1):
        return "select two blocks or more"
    if name == "tie" and len(selection) < 2:
        return "select two modules or more"
    if name == "untie" and not any(costs(graph, path).shared for path in selection):
        return "nothing selected is tied to something else"
    adapters = [node.path for node in graph.modules if node.class_name == "LoraLinear"]
    if name in ("detach", "fold") and not any(_near(path, selection) for path in adapters):
        return "nothing selected carries an adapter"
    if name == "attach" and not _linears(graph, selection):
        return "nothing selected is linear"
    return None


def _near(adapter: str, selection: list[str]) -> bool:
    return any(
        path in ("", adapter, f"{adapter}.base") or adapter.startswith(f"{path}.") for path in selection
    )


def _is_block(graph: ModuleGraph, path: str) -> bool:
    parent = path.rpartition(".")[0]
    return bool(path) and parent in graph and graph[parent].container and path.rpartition(".")[2].isdigit()


def _targets(name: str, graph: ModuleGraph, selection: list[str]) -> str:
    if name == "tie":
        return selector_of(selection[1:], graph)
    if name in ("detach", "fold"):
        return selector_of([path.removesuffix(".base") for path in selection], graph)
    if name == "attach":
        return ", ".join(_linears(graph, selection))
    return selector_of(selection, graph)


def _linears(graph: ModuleGraph, selection: list[str]) -> list[str]:
    """Selectors of the linear modules at or under the selection."""
    found: list[str] = []
    for path in selection:
        kinds = [
            node.class_name
            for node in graph.modules
            if node.class_name in ("Linear", "Conv1D")
            and (node.path == path or path == "" or node.path.startswith(f"{path}."))
            and not node.path.endswith(".base")
        ]
        if graph[path].class_name in ("Linear", "Conv1D"):
            found += [path] if kinds else []
        else:
            found += [f"{path}.**:{kind}".lstrip(".") for kind in sorted(set(kinds))]
    return found


def _form(draft: Draft) -> dict[str, Any]:
    cls = operation_named(draft.operation)
    return {
        "operation": cls.name,
        "title": cls.title,
        "summary": cls.summary().replace("`", ""),
        "fields": [_field(spec, draft) for spec in cls.specs],
        "can_apply": draft.preview is not None and draft.error is None,
        "apply_label": f"Apply {cls.title.lower()}",
    }


def _field(spec: FieldSpec, draft: Draft) -> dict[str, Any]:
    value = draft.values.get(spec.name, spec.default)
    if spec.kind == "parents":
        value = ", ".join(value) if isinstance(value, list | tuple) else value
    elif isinstance(value, tuple):
        value = list(value)
    elif spec.kind == "paths" and not isinstance(value, str):
        value = value.select
    bounded = spec.minimum is not None and spec.maximum is not None and spec.maximum <= 64
    return {
        "name": spec.name,
        "kind": _SHOWN_KINDS.get(spec.kind, spec.kind),
        "label": spec.name.replace("_", " ").capitalize(),
        "help": spec.help.replace("`", ""),
        "value": value,
        "choices": [{"value": choice, "label": choice} for choice in spec.choices],
        "minimum": spec.minimum,
        "maximum": spec.maximum if bounded else None,
        "step": 0.01 if spec.kind == "number" and bounded else 1 if spec.kind == "integer" else None,
        "error": _field_error(spec, draft),
    }


def _field_error(spec: FieldSpec, draft: Draft) -> str | None:
    error = draft.error
    if error is None or not error.problem.startswith(f"{draft.operation}.{spec.name} "):
        return None
    return f"{error.expected}" if error.expected is not None else error.problem


def _dry_run(draft: Draft) -> dict[str, Any]:
    error = draft.error
    shown = {"text": error.sentence(with_hint=False), "hint": error.hint or ""} if error else None
    if draft.preview is None:
        caption = "" if error else "computing …"
        return {"caption": caption, "rows": [], "python": "", "note": "", "error": shown}
    step = draft.preview.steps[0]
    return {
        "caption": "nothing is changed yet",
        "rows": preview_rows(draft.preview),
        "python": python_of(step),
        "note": _note(draft.operation),
        "error": shown,
    }


def _note(operation: str) -> str:
    if operation in ("tie", "attach"):
        return "A model with this saves for surgery.load: transformers alone cannot say it."
    return ""
