"""Names that an earlier step made go: which step it was, and what the modules are called now."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from graph.paths import SelectorError, escape
from graph.select import Selector
from graph.tree import children, walk
from surgery.errors import SurgeryError
from surgery.script import python_of
from surgery.selecting import listed

if TYPE_CHECKING:
    from surgery.history import History, State


@dataclass(frozen=True, slots=True)
class Place:
    """A module of a state: what a selector needs to know of it, and its origin."""

    path: str
    class_name: str
    children: tuple[str, ...]
    origin: str


def named(model: nn.Module, origins: MutableMapping[nn.Module, str], state: int | None) -> tuple[Place, ...]:
    """Every module by its name in this state; those that are new in it have their origin from here on.

    `state` is its number, None for the base.
    """
    found = []
    for path, module in walk(model):
        origin = origins.setdefault(module, path if state is None else f"{state}:{path}")
        below = tuple(name for name, _ in children(module))
        found.append(Place(path, type(module).__name__, below, origin))
    return tuple(found)


@contextmanager
def recalling(history: History) -> Iterator[None]:
    """An error about a name that is no longer there says which step made it go, and what is left of it."""
    try:
        yield
    except SurgeryError as error:
        hint = error.path and whereabouts(error.path, history.current)
        if not hint:
            raise
        raise SurgeryError(
            error.problem, path=error.path, got=error.got, expected=error.expected, hint=hint
        ) from None


def whereabouts(text: str, current: State) -> str | None:
    """A hint on what the selector meant in the last state in which it meant something.

    None if it still does, never did, or can't be read.
    """
    try:
        selector = Selector.parse(text)
    except SelectorError:
        return None
    line = current.lineage()
    for number in range(len(line), 0, -1):
        if found := selector.match(line[number - 1].places):
            return None if number == len(line) else _hint(found, line, number)
    return None


def _hint(found: tuple[str, ...], line: list[State], number: int) -> str:
    """`found` are paths of the state before step `number`, which made them go."""
    before, step = line[number - 1], line[number].step
    said = f"step {number}, `{python_of(step)}`" if step else f"step {number}"
    origins = {place.path: place.origin for place in before.places}
    now: dict[str, str] = {}
    for place in line[-1].places:
        now.setdefault(place.origin, place.path)
    left = tuple(escape(now[origins[path]]) for path in found if origins[path] in now)
    if not left:
        return f"`s.goto({before.id})`, the state before {said}"
    if len(left) == len(found):
        return f"`{listed(left)}`, as it is called after {said}"
    return f"`{listed(left)}`, the {len(left)} that are left of {len(found)} after {said}"
