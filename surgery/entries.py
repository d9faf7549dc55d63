"""What installed packages bring through entry points, beside what ships: kinds of things, each by a name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from inspect import isabstract
from typing import Any, TypeVar

from graph.paths import nearest
from surgery.errors import SurgeryError
from surgery.typed import Typed

T = TypeVar("T", bound=Typed)


@dataclass(frozen=True)
class Unavailable:
    """What a package brings and cannot be had: its name, where it should come from, why."""

    name: str
    source: str
    reason: str


@dataclass(frozen=True)
class Kind:
    """What is registered: the base class, in a word, how a class of it is made, what each must have."""

    base: type[Typed]
    noun: str
    decorator: str
    must_have: str


def gathered(
    kind: Kind,
    built_in: Iterable[type[T]],
    points: Iterable[EntryPoint],
    reserved: Callable[[str], str | None] = lambda name: None,
) -> tuple[dict[str, type[T]], tuple[Unavailable, ...]]:
    """All classes by name, ours first, and those that cannot be had.

    A package that fails, or takes a name that is not free, costs no other anything. `reserved` gives the
    reason why a name may not be taken.
    """
    found: dict[str, type[T]] = {cls.name: cls for cls in built_in}
    failed: list[Unavailable] = []
    for point in points:
        loaded = _loaded(kind, point, found, reserved)
        if isinstance(loaded, Unavailable):
            failed.append(loaded)
        else:
            found[loaded.name] = loaded
    return found, tuple(failed)


def named(kind: Kind, name: str, known: Mapping[str, type[T]], failed: Iterable[Unavailable]) -> type[T]:
    """The class called `name`; SurgeryError with the nearest name, or the reason it cannot be had."""
    if name in known:
        return known[name]
    for item in failed:
        if item.name == name:
            raise SurgeryError(
                f"the {kind.noun} {name!r} of {item.source} cannot be had: {item.reason}",
                hint="mending or updating the package that brings it",
            )
    near = nearest(name, list(known), 1)
    raise SurgeryError(
        f"no {kind.noun} is called {name!r}",
        expected=f"one of {', '.join(sorted(known))}",
        hint=f"`{near[0]}`" if near else "installing the package that brings it",
    )


def _loaded(
    kind: Kind, point: EntryPoint, taken: Mapping[str, type[T]], reserved: Callable[[str], str | None]
) -> type[T] | Unavailable:
    """The class that an entry point names, or why it cannot be had."""
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:  # it is somebody else's code
        reason = f"{type(error).__name__}: {error}".rstrip(": ").partition("\n")[0]
        return Unavailable(point.name, point.value, reason)
    if not (isinstance(cls, type) and issubclass(cls, kind.base) and isinstance(vars(cls).get("name"), str)):
        return Unavailable(point.name, point.value, f"it is no class made with {kind.decorator}")
    if isabstract(cls):
        return Unavailable(cls.name, point.value, f"it has no {kind.must_have}")
    if cls.name in taken:
        return Unavailable(cls.name, point.value, f"its name is taken by another {kind.noun}")
    if why := reserved(cls.name):
        return Unavailable(cls.name, point.value, why)
    return cls  # type: ignore[return-value]


def worded(text: str) -> tuple[str, dict[str, Any]]:
    """The name in a word, and the fields behind it: `generation:tokens=32`. Values are JSON, or texts."""
    name, _, rest = text.partition(":")
    values: dict[str, Any] = {}
    for item in rest.split(",") if rest else ():
        key, given, value = item.partition("=")
        if not given:
            raise SurgeryError(
                "a field is given with its value", path=text, got=repr(item), expected="name=value"
            )
        try:
            values[key.strip()] = json.loads(value)
        except ValueError:
            values[key.strip()] = value.strip()
    return name.strip(), values
