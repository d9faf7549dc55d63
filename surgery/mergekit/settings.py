"""Values of mergekit's parameters: plain, over depth, or chosen by words in a tensor's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from surgery.errors import SurgeryError
from surgery.mergekit.config import known

Kind = Literal["number", "integer", "flag"]
Scope = Literal["shared", "each", "others"]
Plain = float | int | bool | None
Value = Plain | tuple[float, ...] | tuple[bool, ...]
"""A tuple goes over depth, from the first block to the last."""

REQUIRED = object()
_FLAGS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of one of mergekit's methods.

    `scope`: one value for all models, one for each, or one for each but the base. `steady`: a field of ours
    takes one value for all depths.
    """

    name: str
    kind: Kind = "number"
    scope: Scope = "shared"
    default: Any = REQUIRED
    steady: bool = False


@dataclass(frozen=True)
class Choice:
    """A value for the tensors with this text in their name; None is in every name."""

    word: str | None
    value: Value


def choices(parameter: Parameter, raw: Any, where: str) -> tuple[Choice, ...]:
    """What a setting in the file comes to, the first that fits a tensor counts."""
    if isinstance(raw, dict):
        return (_conditional(parameter, raw, where),)
    if isinstance(raw, list) and any(isinstance(item, dict) for item in raw):
        found: list[Choice] = []
        for index, item in enumerate(raw):
            found.append(_conditional(parameter, item, f"{where}[{index}]"))
        return tuple(found)
    return (Choice(None, _value(parameter, raw, where)),) if raw != [] else ()


def _conditional(parameter: Parameter, raw: Any, where: str) -> Choice:
    known(raw, ("filter", "value"), where, needed=("value",))
    word = raw.get("filter")
    if word is not None and not isinstance(word, str):
        raise SurgeryError("is no text", path=f"{where}.filter", got=repr(word))
    return Choice(
        None if word in (None, "*", "") else word, _value(parameter, raw["value"], f"{where}.value")
    )


def _value(parameter: Parameter, raw: Any, where: str) -> Value:
    if isinstance(raw, list):
        items: Any = tuple(_plain(parameter, item, where) for item in raw)
        if not items:
            raise SurgeryError("is an empty list", path=where)
        several: Value = items[0] if len(items) == 1 else items
        return several
    plain: Plain = _plain(parameter, raw, where)
    return plain


def _plain(parameter: Parameter, raw: Any, where: str) -> Any:
    """A number, whole number or flag; YAML reads `1e-5` as text, which mergekit takes for a number."""
    try:
        if parameter.kind == "flag":
            return _FLAGS[str(raw).lower()] if not isinstance(raw, bool) else raw
        number = float(raw)
        if number != number or abs(number) == float("inf"):
            raise ValueError
        if parameter.kind == "integer":
            if number != int(number):
                raise ValueError
            return int(number)
        return number
    except (ValueError, TypeError, KeyError):
        expected = {"flag": "true or false", "integer": "a whole number", "number": "a number"}[
            parameter.kind
        ]
        raise SurgeryError("does not fit", path=where, got=repr(raw)[:40], expected=expected) from None


def at(value: Value, t: float) -> Plain:
    """The value at a depth in [0, 1]: numbers on straight lines, flags each for its part."""
    if not isinstance(value, tuple):
        return value
    place = t * (len(value) - 1)
    left = int(place)
    if isinstance(value[left], bool):
        return value[left]
    right = min(left + 1, len(value) - 1)
    return (1 - (place - left)) * value[left] + (place - left) * value[right]
