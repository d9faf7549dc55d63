"""The step that the shelf makes: a merging operation, or adapters adopted, with a weight per parent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from surgery.errors import SurgeryError
from surgery.fields import FieldSpec
from surgery.operation import Operation
from surgery.registry import operation_named, operations
from widgets.shelf.curves import Curve, schedule
from widgets.shelf.row import Row

FIRST = "task_arithmetic"
ADOPT = "adopt"
_SET_BY_ROWS = ("targets", "parents")


@dataclass(frozen=True)
class Role:
    """What weights are to an operation: `name` is its field, None where it has none.

    `own`: this model has one too, before the parents'. `over_depth`: they may be gradients.
    """

    name: str | None
    own: bool = False
    over_depth: bool = True


@dataclass
class Method:
    """The operation that is chosen, and the values of its own fields as they were entered."""

    name: str = FIRST
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def cls(self) -> type[Operation]:
        """The operation."""
        return operation_named(self.name)

    def choose(self, name: str) -> None:
        """Another operation; values of fields that both have stay."""
        known = {spec.name: spec for spec in operation_named(name).specs}
        kinds = {spec.name: spec.kind for spec in self.cls.specs}
        same = {key for key, spec in known.items() if kinds.get(key) == spec.kind and not spec.choices}
        self.values = {key: value for key, value in self.values.items() if key in same}
        self.name = name

    def set(self, name: str, value: Any) -> None:
        """A field's new value as the browser sends it; nothing means its default."""
        spec = next((spec for spec in self.cls.specs if spec.name == name and spec.is_asked), None)
        if spec is None or name in _SET_BY_ROWS:
            return
        if value in ("", None):
            self.values.pop(name, None)
        else:
            self.values[name] = _typed(spec, value)

    def role(self, count: int) -> Role:
        """What weights are, with so many parents."""
        specs = {spec.name: spec for spec in self.cls.specs}
        if self.name == "slerp" or (
            self.name == "soup" and count == 1
        ):  # the place between two is the weight
            return Role("t")
        if "weights" not in specs:
            return Role(None)
        if specs["weights"].kind != "schedules":
            return Role("weights", over_depth=False)
        return Role("weights", own=self._shares(count) > count)

    def own_fields(self, role: Role) -> list[FieldSpec]:
        """The fields that a form shows: all but those that the rows say."""
        taken = (*_SET_BY_ROWS, role.name)
        return [spec for spec in self.cls.specs if spec.is_asked and spec.name not in taken]

    def step(self, targets: str, rows: Sequence[Row], own: Curve) -> Operation:
        """The very step that code would make; SurgeryError where these rows make none."""
        parents = [row.parent for row in rows]
        values: dict[str, Any] = dict(self.values) | {"targets": targets, "parents": parents}
        most = getattr(self.cls, "most", None)
        if most is not None and len(rows) > most:
            raise SurgeryError(
                f"{self.name} merges with {'one parent' if most == 1 else f'{most} parents'}",
                got=len(rows),
                hint="taking the tick off the others, or another method",
            )
        role = self.role(len(rows))
        if role.name is not None:
            named = [("this model", own)] * role.own + [(row.alias, row.curve) for row in rows]
            for alias, curve in named:
                if len(curve) > 1 and not role.over_depth:
                    raise SurgeryError(
                        f"{self.name} takes one weight for all depths",
                        path=alias,
                        got=f"a gradient of {len(curve)}",
                        hint="one number",
                    )
            weights = [schedule(curve) for _, curve in named]
            values[role.name] = weights[0] if role.name == "t" else weights
        return self.cls.from_fields(values)

    def _shares(self, count: int) -> int:
        if self.name == "merge":
            return count + 1
        try:
            made = self.cls.from_fields(self.values | {"targets": "", "parents": ["parent"] * count})
            return int(getattr(made, "shares")(count))  # noqa: B009  merging operations have it
        except (SurgeryError, AttributeError):  # a value that does not fit is said when the step is made
            return count


def offered(adapters: bool) -> list[type[Operation]]:
    """The operations that merge targets with parents, and `adopt` where there are adapters to adopt."""
    found = [
        cls
        for cls in operations().values()
        if cls.group == "merge" and {"targets", "parents"} <= {spec.name for spec in cls.specs}
    ]
    return [*found, operation_named(ADOPT)] if adapters else found


def form(method: Method, role: Role) -> list[dict[str, Any]]:
    """The method's own fields as protocol.ts describes them."""
    return [_field(spec, method.values.get(spec.name, spec.default)) for spec in method.own_fields(role)]


def _field(spec: FieldSpec, value: Any) -> dict[str, Any]:
    if spec.kind in ("schedule", "schedules", "numbers"):
        value = value if isinstance(value, str) else _as_text(value, spec)
    return {
        "name": spec.name,
        "kind": spec.kind if spec.kind in ("number", "integer", "choice", "flag") else "text",
        "label": spec.name.replace("_", " ").capitalize(),
        "help": spec.help.replace("`", ""),
        "value": value,
        "choices": list(spec.choices),
    }


def _as_text(value: Any, spec: FieldSpec) -> str:
    """Numbers and lists as they are typed: `0.5`, `0, 1`, `0.5, [0, 1]`."""
    if not isinstance(value, list | tuple):
        return f"{value:g}"
    return json.dumps(value)[1:-1]


def _typed(spec: FieldSpec, value: Any) -> Any:
    """A value as the field takes it; text that is none of its kind stays, and is refused with the step."""
    if spec.kind in ("schedule", "schedules", "numbers") and isinstance(value, str):
        try:
            found = json.loads(f"[{value}]")
        except ValueError:
            return value
        return found[0] if spec.kind == "schedule" and len(found) == 1 else found
    if spec.kind == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if spec.kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
