"""An operation's form, made from its typed fields."""

from __future__ import annotations

import json
from typing import Any

from surgery.adapters.kinds import KINDS
from surgery.fields import FieldSpec, Options
from surgery.registry import operation_named
from widgets.desk import Draft

_SHOWN_KINDS = {
    **{"paths": "text", "parents": "text", "integers": "numbers"},
    **{"schedule": "text", "schedules": "text", "options": "text"},
}
# What a choice means, where its value alone does not say it.
_CHOICES = {
    ("tie", "start"): {"to": "the kept module's", "average": "average of all"},
    ("sparsify", "scope"): {"tensor": "each tensor by itself", "global": "all together"},
    ("attach", "adapter"): {name: kind.title for name, kind in KINDS.items()},
    ("attach", "ties"): {"ask": "ask", "shared": "one for all", "each": "one each"},
    ("combine", "how"): {"cat": "exact", "linear": "factors added", "svd": "cut to a rank"},
    ("duplicate", "order"): {"span": "behind them all", "each": "each behind its own"},
    ("skip", "gives"): {"auto": "what suits it", "input": "its input", "zeros": "zeros"},
}


def form(draft: Draft) -> dict[str, Any]:
    """The `form` of the inspector state of protocol.ts."""
    cls = operation_named(draft.operation)
    asked = cls.asked(draft.values)
    return {
        "operation": cls.name,
        "title": cls.title,
        "summary": cls.summary().replace("`", ""),
        "fields": [_field(spec, draft) for spec in cls.specs if spec.is_asked and spec.name in asked],
        "can_apply": draft.can_apply,
        "apply_label": f"Apply {cls.title.lower()}",
    }


def _field(spec: FieldSpec, draft: Draft) -> dict[str, Any]:
    value = draft.values.get(spec.name, spec.default)
    if spec.kind == "parents":
        value = ", ".join(value) if isinstance(value, list | tuple) else value
    elif spec.kind == "options":
        value = _options_as_text(value)
    elif isinstance(value, tuple):
        value = json.loads(json.dumps(value))
    elif spec.kind == "paths" and not isinstance(value, str):
        value = value.select
    if spec.kind in ("schedule", "schedules") and isinstance(value, list | int | float):
        value = _as_text(value)
    labels = _CHOICES.get((draft.operation, spec.name), {})
    suiting = draft.suiting.get(spec.name)
    choices = [choice for choice in spec.choices if suiting is None or choice in suiting or choice == value]
    bounded = spec.minimum is not None and spec.maximum is not None and spec.maximum <= 64
    return {
        "name": spec.name,
        "kind": _SHOWN_KINDS.get(spec.kind, spec.kind),
        "label": spec.name.replace("_", " ").capitalize(),
        "help": spec.help.replace("`", ""),
        "value": value,
        "choices": [
            {"value": choice, "label": _label(labels.get(choice, choice), (suiting or {}).get(choice))}
            for choice in choices
        ],
        "minimum": spec.minimum,
        "maximum": spec.maximum if bounded else draft.reach.get(spec.name),
        "step": 0.01 if spec.kind == "number" and bounded else 1 if spec.kind == "integer" else None,
        "error": _field_error(spec, draft),
    }


def _label(text: str, said: str | None) -> str:
    return f"{text} ({said})" if said else text


def _field_error(spec: FieldSpec, draft: Draft) -> str | None:
    error = draft.error
    if error is None or draft.waiting or not error.problem.startswith(f"{draft.operation}.{spec.name} "):
        return None
    return f"{error.expected}" if error.expected is not None else error.problem


def _options_as_text(value: Any) -> str:
    """Values by name as `coerce` reads them; what a person is typing stays as it is."""
    if isinstance(value, dict):
        value = Options(tuple(value.items()))
    return str(value)


def _as_text(value: Any) -> str:
    """Numbers and lists as `_over_depth` reads them."""
    return json.dumps(value).removeprefix("[").removesuffix("]") if isinstance(value, list) else f"{value:g}"
