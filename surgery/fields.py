"""The typed fields of operations and tasks: what the script's schema, listings and the studio's form read.

A field's annotation is its kind. `Targets` and `Target` hold a selector and the paths it resolved to;
`Targets` also how many they must be, if somebody said so.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import os
import types
import typing
from collections.abc import Collection, Mapping
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
    "schedule",
    "schedules",
    "parents",
    "measured",
    "found",
    "options",
]

Schedule = float | tuple[float, ...]
"""A value, or values between the first block and the last: see `surgery.merging.depths`."""


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
        if not is_count(count):
            raise SurgeryError(
                "no selector can be held to that", path=self.select, got=repr(count), expected="1 or more"
            )
        return Targets(self.select, self.paths, count)


def is_count(value: Any) -> bool:
    """Whether this can be a number of modules to expect."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True)
class Target:
    """A selector of exactly one module, and its path once resolved."""

    select: str
    path: str | None = None

    def __str__(self) -> str:
        return self.select if self.path is None else self.path


@dataclass(frozen=True)
class Parent:
    """Another checkpoint: where it lies, its fingerprint once it was read, and what a script calls it.

    As text it is the place, or `name=place` where no such place is there.
    """

    source: str
    fingerprint: str | None = None
    alias: str | None = None

    @classmethod
    def of(cls, text: str) -> Parent:
        """The parent that a text names."""
        alias, equals, place = text.partition("=")
        named = bool(equals) and alias.isidentifier() and bool(place) and not os.path.lexists(text)
        return cls(place, alias=alias) if named else cls(text)

    def __str__(self) -> str:
        return self.source if self.alias is None else f"{self.alias}={self.source}"


@dataclass(frozen=True)
class Found:
    """What resolving a step found, as plain data of JSON; frozen in the step, entered by nobody."""

    data: Any


Scalar = bool | int | float | str


@dataclass(frozen=True)
class Options:
    """Values by name that another package defines, as plain data of JSON; what they may be is checked there.

    As text they are `name=value` divided by commas.
    """

    items: tuple[tuple[str, Scalar], ...] = ()

    @property
    def data(self) -> dict[str, Scalar]:
        """By name."""
        return dict(self.items)

    def __str__(self) -> str:
        return ", ".join(f"{name}={json.dumps(value)}" for name, value in self.items)


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
    later: bool = False
    beside: tuple[tuple[str, Collection[str]], ...] = ()

    @property
    def is_asked(self) -> bool:
        """Whether a person gives it; what was measured or found is frozen into a step by itself."""
        return self.kind not in ("measured", "found")

    def means_something(self, values: Mapping[str, Any]) -> bool:
        """Whether it does beside these values of all others."""
        return not self.beside or any(values[other] in meant for other, meant in self.beside)


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    minimum: float | None = None,
    maximum: float | None = None,
    later: bool = False,
    choices: tuple[str, ...] = (),
    beside: Mapping[str, tuple[str, ...]] | None = None,
) -> Any:
    """A dataclass field of an operation or a task with its help line and inclusive bounds.

    One that came `later` than the operation is left out of scripts at its default: they stay what they were.
    A text with `choices` is a choice of which these are found out while the program runs. One that means
    nothing but `beside` certain values of other fields, of which one is enough, is asked for beside those.
    """
    metadata = {
        "help": help, "minimum": minimum, "maximum": maximum, "later": later, "choices": choices,
        "beside": tuple((beside or {}).items()),
    }  # fmt: skip
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
    Schedule: "schedule",
    tuple[Schedule, ...]: "schedules",
    tuple[Parent, ...]: "parents",
    Measured: "measured",
    Found: "found",
    Options: "options",
}


def field_specs(cls: type[Any]) -> tuple[FieldSpec, ...]:
    """The fields of the dataclass of an operation or a task, in order."""
    hints = typing.get_type_hints(cls)
    return tuple(_spec(item, hints[item.name]) for item in dataclasses.fields(cls) if item.init)


def _spec(item: dataclasses.Field[Any], annotation: Any) -> FieldSpec:
    optional = isinstance(annotation, types.UnionType) and type(None) in typing.get_args(annotation)
    if optional:
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        annotation = functools.reduce(operator.or_, parts)
    choices: tuple[str, ...] = ()
    if typing.get_origin(annotation) is Literal:
        kind: Kind = "choice"
        choices = typing.get_args(annotation)
    else:
        kind = _KINDS[annotation]
    required = item.default is dataclasses.MISSING
    meta = item.metadata
    if meta.get("choices"):
        kind, choices = "choice", meta["choices"]
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
        later=meta.get("later", False),
        beside=meta.get("beside", ()),
    )
