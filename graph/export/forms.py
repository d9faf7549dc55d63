"""How records read as plain values, derived from their fields and type hints alone.

A *form* stands for one type hint: it tells which plain values fit it, reads them and describes them
in JSON Schema. A new field of a record, or a new record, needs nothing here. Known are dataclasses,
tuples of one length or any, literals of text, unions, and int, float, bool, str, None.
"""

import inspect
import math
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints


class Misfit(ValueError):
    """A plain value that doesn't fit; `place` grows outwards while the error travels."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem, self.place = problem, ""

    def __str__(self) -> str:
        return f"{self.place.removeprefix('.') or 'the whole'}: {self.problem}"


class Form(Protocol):
    """What a type hint says about plain values; `name` is for errors."""

    @property
    def name(self) -> str: ...

    def fits(self, value: Any) -> bool:
        """Whether `value` is of this kind, without a look inside."""

    def read(self, value: Any) -> Any:
        """What `value` stands for; raises Misfit where it doesn't fit, inside or out."""

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """JSON Schema of the values that fit; records are put into `definitions` and referred to."""


def plain(value: Any) -> Any:
    """Records as dictionaries and tuples as lists, all the way down."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if is_dataclass(value):
        cls: Any = type(value)
        return {name: plain(getattr(value, name)) for name in _names(cls)}
    return value


@cache
def form_of(hint: Any) -> Form:
    """The form of a type hint. Raises TypeError for a hint that has none."""
    origin, inside = get_origin(hint), get_args(hint)
    if hint in _SCALARS:
        return Scalar(hint)
    if is_dataclass(hint):
        return Record(hint)
    if origin is Literal and all(isinstance(word, str) for word in inside):
        return Word(inside)
    if origin in (UnionType, Union):
        return Choice(tuple(map(form_of, inside)))
    if origin is tuple and len(inside) == 2 and inside[1] is ...:
        return Many(form_of(inside[0]))
    if origin is tuple:
        return Fixed(tuple(map(form_of, inside)))
    raise TypeError(f"a record's field of type {hint} has no JSON form")


# By Python type: what errors call it, what JSON Schema calls it.
_SCALARS: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "boolean"),
    int: ("an integer", "integer"),
    float: ("a number", "number"),
    str: ("a text", "string"),
    NoneType: ("null", "null"),
}


@dataclass(frozen=True)
class Scalar:
    """Text, a number, a flag, null. True is no integer; an integer is a number; inf and nan are none."""

    kind: Any

    @property
    def name(self) -> str:
        return _SCALARS[self.kind][0]

    def fits(self, value: Any) -> bool:
        if self.kind is float:
            return type(value) in (int, float) and math.isfinite(value)
        return type(value) is self.kind

    def read(self, value: Any) -> Any:
        return _checked(self, value)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"type": _SCALARS[self.kind][1]}


@dataclass(frozen=True)
class Word:
    """One of several given texts."""

    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return " or ".join(map(repr, self.words))

    def fits(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.words

    def read(self, value: Any) -> Any:
        return _checked(self, value)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Choice:
    """Any of several forms; the first that fits reads."""

    options: tuple[Form, ...]

    @property
    def name(self) -> str:
        return " or ".join(option.name for option in self.options)

    def fits(self, value: Any) -> bool:
        return any(option.fits(value) for option in self.options)

    def read(self, value: Any) -> Any:
        for option in self.options:
            if option.fits(value):
                return option.read(value)
        return _checked(self, value)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        schemas = [option.schema(definitions) for option in self.options]
        if all(list(schema) == ["type"] for schema in schemas):
            return {"type": [schema["type"] for schema in schemas]}
        return {"anyOf": schemas}


@dataclass(frozen=True)
class Many:
    """A tuple of any length; a list in JSON."""

    item: Form
    name = "a list"

    def fits(self, value: Any) -> bool:
        return isinstance(value, list | tuple)

    def read(self, value: Any) -> Any:
        return _each(_checked(self, value), [self.item] * len(value))

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema(definitions)}


@dataclass(frozen=True)
class Fixed:
    """A tuple of so many items, each with its own form; a list in JSON."""

    items: tuple[Form, ...]

    @property
    def name(self) -> str:
        return f"a list of {len(self.items)}"

    def fits(self, value: Any) -> bool:
        return isinstance(value, list | tuple) and len(value) == len(self.items)

    def read(self, value: Any) -> Any:
        return _each(_checked(self, value), self.items)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        items = [item.schema(definitions) for item in self.items]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


@dataclass(frozen=True)
class Record:
    """A dataclass; in JSON an object with exactly its fields."""

    cls: Any
    name = "an object"

    def fits(self, value: Any) -> bool:
        return isinstance(value, dict)

    def read(self, value: Any) -> Any:
        forms = _forms(self.cls)
        if _checked(self, value).keys() != forms.keys():
            missing, unknown = forms.keys() - value.keys(), value.keys() - forms.keys()
            said = [f"the key {_shown(key)} is missing" for key in sorted(missing)]
            said += [f"the key {_shown(key)} is unknown" for key in sorted(map(str, unknown))]
            raise Misfit("; ".join(said))
        read, name = {}, ""
        try:
            for name, form in forms.items():
                read[name] = form.read(value[name])
        except Misfit as misfit:
            misfit.place = f".{name}{misfit.place}"
            raise
        return self.cls(**read)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        title = self.cls.__name__
        if title not in definitions:
            made: dict[str, Any] = {"type": "object"}
            definitions[title] = made  # first, so that a record may hold its own kind
            said = inspect.getdoc(self.cls) or ""
            if not said.startswith(f"{title}("):  # what dataclasses writes where nobody did
                made["description"] = said
            made["properties"] = {name: form.schema(definitions) for name, form in _forms(self.cls).items()}
            made["required"] = list(made["properties"])
            made["additionalProperties"] = False
        return {"$ref": f"#/$defs/{title}"}


@cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if field.init)


@cache
def _forms(cls: Any) -> dict[str, Form]:
    hints = get_type_hints(cls)
    return {name: form_of(hints[name]) for name in _names(cls)}


def _each(values: Any, forms: Any) -> tuple[Any, ...]:
    read: list[Any] = []
    try:
        for value, form in zip(values, forms, strict=True):
            read.append(form.read(value))
    except Misfit as misfit:
        misfit.place = f"[{len(read)}]{misfit.place}"
        raise
    return tuple(read)


def _checked(form: Form, value: Any) -> Any:
    if not form.fits(value):
        raise Misfit(f"got {_shown(value)}, expected {form.name}")
    return value


def _shown(value: Any) -> str:
    """The value on one line that stays short."""
    if isinstance(value, dict | list | tuple) and value:
        return f"an object of {len(value)}" if isinstance(value, dict) else f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]} … ({len(text)} characters)"
