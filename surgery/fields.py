"""The typed fields of operations and tasks: what the script's schema, listings and the studio's form read.

A field's annotation is its kind. `Targets` and `Target` hold a selector and the paths it resolved to;
`Targets` also how many they must be, if somebody said so.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

from surgery.errors import SurgeryError
from surgery.measures import Measured

Kind = Literal[
    "paths",
    "path",
    "number",
    "integer",
    "choice",
    "flag",
    "text",
    "numbers",
    "integers",
    "parents",
    "measured",
    "found",
]


@dataclass(frozen=True)
class Targets:
    """A selector of modules and the paths it resolved to; no paths yet means unresolved.

    `count` is how many modules it must select, None for any number; a script calls it `expect`.
    """

    select: str
    paths: tuple[str, ...] = ()
    count: int | None = None

    def expect(self, count: int) -> Targets:
        """The same selector, refused wherever it selects more or fewer than `count` modules."""
        if not _is_count(count):
            raise SurgeryError(
                "no selector can be held to that", path=self.select, got=repr(count), expected="1 or more"
            )
        return Targets(self.select, self.paths, count)


@dataclass(frozen=True)
class Target:
    """A selector of exactly one module, and its path once resolved."""

    select: str
    path: str | None = None

    def __str__(self) -> str:
        return self.select if self.path is None else self.path


@dataclass(frozen=True)
class Parent:
    """Another checkpoint: where it lies, and its fingerprint once it was read."""

    source: str
    fingerprint: str | None = None


@dataclass(frozen=True)
class Found:
    """What resolving a step found, as plain data of JSON; frozen in the step, entered by nobody."""

    data: Any


@dataclass(frozen=True)
class FieldSpec:
    """One field as forms, schemas and listings need it; bounds are inclusive."""

    name: str
    kind: Kind
    help: str
    default: Any
    required: bool
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether a person gives it; what was measured or found is frozen into a step by itself."""
        return self.kind not in ("measured", "found")


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A dataclass field of an operation or a task with its help line and inclusive bounds."""
    metadata = {"help": help, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata=metadata)


_KINDS: dict[Any, Kind] = {
    Targets: "paths",
    Target: "path",
    float: "number",
    int: "integer",
    bool: "flag",
    str: "text",
    tuple[float, ...]: "numbers",
    tuple[int, ...]: "integers",
    tuple[Parent, ...]: "parents",
    Measured: "measured",
    Found: "found",
}


def field_specs(cls: type[Any]) -> tuple[FieldSpec, ...]:
    """The fields of the dataclass of an operation or a task, in order."""
    hints = typing.get_type_hints(cls)
    return tuple(_spec(item, hints[item.name]) for item in dataclasses.fields(cls) if item.init)


def _spec(item: dataclasses.Field[Any], annotation: Any) -> FieldSpec:
    optional = isinstance(annotation, types.UnionType) and type(None) in typing.get_args(annotation)
    if optional:
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    choices: tuple[str, ...] = ()
    if typing.get_origin(annotation) is Literal:
        kind: Kind = "choice"
        choices = typing.get_args(annotation)
    else:
        kind = _KINDS[annotation]
    required = item.default is dataclasses.MISSING
    meta = item.metadata
    return FieldSpec(
        name=item.name,
        kind=kind,
        help=meta.get("help", ""),
        default=None if required else item.default,
        required=required,
        choices=choices,
        minimum=meta.get("minimum"),
        maximum=meta.get("maximum"),
        optional=optional,
    )


def coerce(spec: FieldSpec, value: Any, operation: str) -> Any:
    """`value` as the field's type; SurgeryError where it does not fit."""
    if value is None and spec.optional:
        return None
    converted = _CONVERTERS[spec.kind](value)
    if converted is None or (spec.choices and converted not in spec.choices):
        expected = f"one of {', '.join(spec.choices)}" if spec.choices else _EXPECTED[spec.kind]
        raise SurgeryError(f"{operation}.{spec.name} does not fit", got=repr(value), expected=expected)
    low, high = spec.minimum, spec.maximum
    if (low is not None and converted < low) or (high is not None and converted > high):
        ends = (("at least", low), ("at most", high))
        bounds = " and ".join(f"{words} {end:g}" for words, end in ends if end is not None)
        raise SurgeryError(f"{operation}.{spec.name} is out of bounds", got=converted, expected=bounds)
    return converted


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    try:
        return float(value) if abs(value) != float("inf") else None
    except OverflowError:
        return None


def _targets(value: Any) -> Targets | None:
    if isinstance(value, Targets):
        return value
    if isinstance(value, str):
        return Targets(value)
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return Targets(", ".join(value))
    keys = {"select", "paths", "expect"}
    if isinstance(value, dict) and set(value) <= keys and isinstance(value.get("select"), str):
        paths, count = value.get("paths", []), value.get("expect")
        listed = isinstance(paths, list) and all(isinstance(item, str) for item in paths)
        if listed and (_is_count(count) or "expect" not in value):
            return Targets(value["select"], tuple(paths), count)
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _target(value: Any) -> Target | None:
    if isinstance(value, Target):
        return value
    if isinstance(value, Targets) and value.count in (None, 1) and len(value.paths) < 2:
        return Target(value.select, value.paths[0] if value.paths else None)
    if isinstance(value, str):
        return Target(value)
    if isinstance(value, dict) and set(value) <= {"select", "path"} and isinstance(value.get("select"), str):
        path = value.get("path")
        if path is None or isinstance(path, str):
            return Target(value["select"], path)
    return None


def _numbers(value: Any) -> tuple[float, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    numbers = [_number(item) for item in value]
    return None if None in numbers else tuple(item for item in numbers if item is not None)


def _integers(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    whole = [item for item in value if isinstance(item, int) and not isinstance(item, bool)]
    return tuple(whole) if len(whole) == len(value) else None


def _parents(value: Any) -> tuple[Parent, ...] | None:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        return None
    parents: list[Parent] = []
    for item in value:
        if isinstance(item, Parent):
            parents.append(item)
        elif isinstance(item, str):
            parents.append(Parent(item))
        elif isinstance(item, dict) and set(item) <= {"source", "fingerprint"} and "source" in item:
            parents.append(Parent(str(item["source"]), item.get("fingerprint")))
        else:
            return None
    return tuple(parents)


def _measured(value: Any) -> Measured | None:
    return value if isinstance(value, Measured) else Measured.from_data(value)


def _found(value: Any) -> Found | None:
    return value if isinstance(value, Found) else Found(value) if isinstance(value, list | dict) else None


_CONVERTERS: dict[Kind, Any] = {
    "paths": _targets,
    "path": _target,
    "number": _number,
    "integer": lambda value: value if isinstance(value, int) and not isinstance(value, bool) else None,
    "flag": lambda value: value if isinstance(value, bool) else None,
    "choice": lambda value: value if isinstance(value, str) else None,
    "text": lambda value: value if isinstance(value, str) else None,
    "numbers": _numbers,
    "integers": _integers,
    "parents": _parents,
    "measured": _measured,
    "found": _found,
}

_EXPECTED: dict[Kind, str] = {
    "paths": "a selector, as text",
    "path": "a selector of one module, as text",
    "number": "a finite number",
    "integer": "a whole number",
    "flag": "true or false",
    "choice": "one of its choices",
    "text": "text",
    "numbers": "a list of finite numbers",
    "integers": "a list of whole numbers",
    "parents": "a list of checkpoint folders",
    "measured": "what a measure found, as a script says it",
    "found": "what a script says was found",
}
