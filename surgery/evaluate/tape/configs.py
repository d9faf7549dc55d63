"""Which fields of its config a forward reads, and what they were.

A config belongs to the whole model, and an edit of the depth changes it. A call whose block reads other
fields of it is as it was. While a model is taped its configs, which are its shell's own, are of a class that
takes note.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import local
from typing import Any

from graph.configs import is_config
from surgery.evaluate.tape.values import Unsayable, said

Reads = dict[tuple[int, str], Hashable]
"""By the id of a config and the name of a field: what it was, None where it can't be said."""


class _Notes(local):
    """Where the call that runs in this thread takes note; the innermost is the last."""

    def __init__(self) -> None:
        self.open: list[Reads] = []


_notes = _Notes()
_MISSING = ("no such field",)


def watch(config: Any) -> None:
    """Makes a config, and those in it, take note of what is read of them. Raises Unsayable if it can't."""
    if getattr(type(config), "_taped", False):
        return
    for value in list(vars(config).values()):
        if is_config(value):
            watch(value)
    try:
        kind: Any = type(config)
        config.__class__ = _watched(kind)
    except TypeError:
        raise Unsayable("a config") from None


@contextmanager
def noting(reads: Reads) -> Iterator[None]:
    """Within, what this thread reads of configs goes into `reads`."""
    _notes.open.append(reads)
    try:
        yield
    finally:
        _notes.open.pop()


def field(config: Any, name: str) -> Hashable | None:
    """What field `name` of a config says now; None where that can't be said."""
    with noting({}):
        try:
            return said(getattr(config, name), _inner_config)
        except AttributeError:
            return _MISSING
        except Unsayable:
            return None


def _inner_config(value: Any) -> Hashable | None:
    return ("config",) if getattr(type(value), "_taped", False) else None  # which takes note itself


@cache
def _watched(kind: Any) -> type:
    def read(self: Any, name: str) -> Any:
        try:
            value = kind.__getattribute__(self, name)
        except AttributeError:
            if _notes.open and not name.startswith("__"):
                _notes.open[-1].setdefault((id(self), name), _MISSING)
            raise
        if _notes.open and not callable(value) and (name == "__dict__" or not name.startswith("__")):
            reads, key = _notes.open[-1], (id(self), name)
            if key not in reads:
                try:
                    reads[key] = said(value, _inner_config)
                except Unsayable:
                    reads[key] = None
        return value

    body = {"__getattribute__": read, "__module__": kind.__module__, "__doc__": kind.__doc__, "_taped": True}
    return type(kind.__name__, (kind,), body)
