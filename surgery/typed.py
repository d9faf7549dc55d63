"""Objects made of typed fields: what operations and tasks have in common."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Self

from graph.paths import nearest
from surgery.coercion import coerce
from surgery.errors import SurgeryError
from surgery.fields import FieldSpec, Found, Options, Parent, Target, Targets, field_specs
from surgery.measures import Measured


@dataclasses.dataclass(frozen=True, kw_only=True)
class Typed:
    """A kind of thing with its values. Subclasses are frozen dataclasses finished by `declared`.

    Fields are given as text, numbers and flags and checked when the object is made.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    specs: ClassVar[tuple[FieldSpec, ...]]

    def __post_init__(self) -> None:
        for spec in self.specs:
            object.__setattr__(self, spec.name, coerce(spec, getattr(self, spec.name), self.name))

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(cls) or "").partition("\n")[0]

    @classmethod
    def asked(cls, values: Mapping[str, Any]) -> Collection[str]:
        """The fields that mean something beside these values of others."""
        values = {spec.name: spec.default for spec in cls.specs} | dict(values)
        return [spec.name for spec in cls.specs if spec.is_asked and spec.means_something(values)]

    @classmethod
    def of(cls, *values: Any, **named: Any) -> Self:
        """One from values in the order of the fields, as `s.tie("a", to="b")` gives them."""
        names = [spec.name for spec in cls.specs if spec.is_asked]
        if len(values) > len(names):
            raise SurgeryError(f"{cls.name} has {len(names)} fields", got=f"{len(values)} values")
        given = dict(zip(names, values, strict=False))
        if twice := sorted(given.keys() & named.keys()):
            raise SurgeryError(f"{cls.name}.{twice[0]} is given twice")
        return cls.from_fields(given | named)

    @classmethod
    def from_fields(cls, values: dict[str, Any]) -> Self:
        """One from its fields by name; unknown and missing ones are refused."""
        names = [spec.name for spec in cls.specs]
        for key in values:
            if key not in names:
                near = nearest(key, names, 1)
                raise SurgeryError(
                    f"{cls.name} has no field {key!r}",
                    expected=f"one of {', '.join(names)}" if names else "no fields",
                    hint=f"`{near[0]}`" if near else None,
                )
        missing = [spec.name for spec in cls.specs if spec.required and spec.name not in values]
        if missing:
            raise SurgeryError(f"{cls.name} needs a value for {' and '.join(missing)}")
        return cls(**values)


def declared(cls: type[Any], *, title: str, source: str) -> Any:
    """`cls` as a frozen keyword-only dataclass with its name in snake case, title, source and field specs."""
    made: Any = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    made.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
    made.title, made.source = title, source
    made.specs = field_specs(made)
    return made


def plain_fields(item: Typed) -> dict[str, Any]:
    """Every field of `item` as plain data of JSON, by name; one that came later only if it says something."""
    said = {spec.name: (getattr(item, spec.name), spec) for spec in item.specs}
    return {
        name: _plain(value) for name, (value, spec) in said.items() if not spec.later or value != spec.default
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Targets):
        counted = {} if value.count is None else {"expect": value.count}
        return {"select": value.select, "paths": list(value.paths)} | counted
    if isinstance(value, Target):
        return {"select": value.select, "path": value.path}
    if isinstance(value, Measured):
        return value.data()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Parent):
        called = {} if value.alias is None else {"alias": value.alias}
        return {"source": value.source, "fingerprint": value.fingerprint} | called
    return value.data if isinstance(value, Found | Options) else value
