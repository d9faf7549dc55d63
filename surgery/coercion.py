"""Values of fields, as people, forms and scripts give them, made the field's own type or refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from surgery.errors import SurgeryError
from surgery.fields import (
    FieldSpec,
    Found,
    Kind,
    Options,
    Parent,
    Scalar,
    Schedule,
    Target,
    Targets,
    is_count,
)
from surgery.measures import Measured


def coerce(spec: FieldSpec, value: Any, operation: str) -> Any:
    """`value` as the field's type; SurgeryError where it does not fit."""
    if value is None and spec.optional:
        return None
    converted = _CONVERTERS[spec.kind](value)
    if converted is None or (spec.choices and converted not in spec.choices):
        expected = f"one of {', '.join(spec.choices)}" if spec.choices else EXPECTED[spec.kind]
        raise SurgeryError(f"{operation}.{spec.name} does not fit", got=repr(value), expected=expected)
    low, high = spec.minimum, spec.maximum
    for number in _flat(converted) if (low, high) != (None, None) else ():
        if (low is not None and number < low) or (high is not None and number > high):
            ends = (("at least", low), ("at most", high))
            bounds = " and ".join(f"{words} {end:g}" for words, end in ends if end is not None)
            raise SurgeryError(f"{operation}.{spec.name} is out of bounds", got=number, expected=bounds)
    return converted


def _flat(value: Any) -> Iterator[float]:
    """The numbers of a value, a list or a list of lists."""
    if isinstance(value, tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield value


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
        if listed and (is_count(count) or "expect" not in value):
            return Targets(value["select"], tuple(paths), count)
    return None


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


def _schedule(value: Any) -> Schedule | None:
    if isinstance(value, list | tuple):
        return _numbers(value) or None
    return _number(value)


def _schedules(value: Any) -> tuple[Schedule, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    found = [_schedule(item) for item in value]
    return None if None in found else tuple(item for item in found if item is not None)


def _integers(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    whole = [item for item in value if isinstance(item, int) and not isinstance(item, bool)]
    return tuple(whole) if len(whole) == len(value) else None


def parents_of(value: str | Sequence[str]) -> tuple[Parent, ...]:
    """Further models as text names them; SurgeryError for anything else."""
    found = _parents(value)
    if not found:
        raise SurgeryError("names no models", got=repr(value), expected=EXPECTED["parents"])
    return found


_PARENT = {"source", "fingerprint", "alias"}


def _parents(value: Any) -> tuple[Parent, ...] | None:
    if isinstance(value, str):
        value = [value] if value.strip() else []
    if not isinstance(value, list | tuple):
        return None
    parents: list[Parent] = []
    for item in value:
        if isinstance(item, Parent):
            parents.append(item)
        elif isinstance(item, str):
            parents.append(Parent.of(item))
        elif isinstance(item, dict) and set(item) <= _PARENT and isinstance(item.get("source"), str):
            fingerprint, alias = item.get("fingerprint"), item.get("alias")
            if not isinstance(fingerprint, str | None) or not isinstance(alias, str | None):
                return None
            if alias is not None and not alias.isidentifier():
                return None
            parents.append(Parent(item["source"], fingerprint, alias))
        else:
            return None
    if not all(parent.source.strip() for parent in parents):  # it would be the folder that one is in
        return None
    return tuple(parents)


def _measured(value: Any) -> Measured | None:
    return value if isinstance(value, Measured) else Measured.from_data(value)


def _found(value: Any) -> Found | None:
    return value if isinstance(value, Found) else Found(value) if isinstance(value, list | dict) else None


def _options(value: Any) -> Options | None:
    if isinstance(value, Options):
        return value
    if isinstance(value, str):
        value = _named_values(value)
    if not isinstance(value, dict):
        return None
    fits = all(
        isinstance(name, str) and name.isidentifier() and _is_scalar(item) for name, item in value.items()
    )
    return Options(tuple(value.items())) if fits else None


def _named_values(text: str) -> dict[str, Scalar] | None:
    """`r=4, init_weights=false`: values as JSON says them, any other word as text."""
    found: dict[str, Scalar] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, word = (piece.strip() for piece in part.partition("="))
        if not equals or not word or name in found:
            return None
        try:
            value = json.loads(word.lower() if word in ("True", "False") else word)
        except (ValueError, RecursionError):
            value = word.strip("'")
        found[name] = value
    return found


def _is_scalar(value: Any) -> bool:
    if isinstance(value, bool | str):
        return True
    return isinstance(value, int | float) and _number(value) is not None


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
    "schedule": _schedule,
    "schedules": _schedules,
    "parents": _parents,
    "measured": _measured,
    "found": _found,
    "options": _options,
}

EXPECTED: dict[Kind, str] = {
    "paths": "a selector, as text",
    "path": "a selector of one module, as text",
    "number": "a finite number",
    "integer": "a whole number",
    "flag": "true or false",
    "choice": "one of its choices",
    "text": "text",
    "numbers": "a list of finite numbers",
    "integers": "a list of whole numbers",
    "schedule": "a finite number, or a list of them over depth",
    "schedules": "a list of finite numbers, each may be a list over depth",
    "parents": "a list of checkpoint folders",
    "measured": "what a measure found, as a script says it",
    "found": "what a script says was found",
    "options": "values by name, as {name: value} or `name=value, …`",
}
