"""Which folders a fence leaves open, and the one fence that a process has."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgery.errors import SurgeryError

VARIABLE = "SURGERY_FENCE"
"""A process with this in its environment stands behind that fence from its start, and so do its children."""

PRODUCT = Path(__file__).resolve().parents[1]


class Outside(SurgeryError, PermissionError):
    """What was asked for lies outside the fence.

    It is a PermissionError too: code that tries whether a file can be read goes on without it.
    """

    def __init__(self, problem: str, **parts: Any) -> None:
        SurgeryError.__init__(self, problem, **parts)
        self.errno, self.strerror = errno.EACCES, problem

    def __str__(self) -> str:
        return self.sentence()  # that of a PermissionError would be its number


@dataclass(frozen=True)
class Fence:
    """Folders that may be read, and those that may be written and read; all else is refused.

    `own`: the process's own places, such as its temporary folder, which nobody is told of. `names`: sources
    that are no places and are opened all the same, such as the hub id the server was started with. `hub`:
    whether ids of the hub are.
    """

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    own: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    hub: bool = False

    @classmethod
    def of(
        cls,
        read: tuple[str | Path, ...] = (),
        write: tuple[str | Path, ...] = (),
        own: tuple[str | Path, ...] = (),
        names: tuple[str, ...] = (),
        *,
        hub: bool = False,
    ) -> Fence:
        """With every folder as it is once links are followed."""
        return cls(_resolved(read), _resolved(write), _resolved(own), names, hub)

    def may_read(self, place: Path) -> bool:
        """Whether a resolved place may be read."""
        return self.may_write(place) or _is_in(place, (*self.read, PRODUCT))

    def may_write(self, place: Path) -> bool:
        """Whether a resolved place may be written."""
        return _is_in(place, (*self.write, *self.own))

    def to_text(self) -> str:
        """As it stands in an environment variable."""
        places = {key: [str(place) for place in getattr(self, key)] for key in ("read", "write", "own")}
        return json.dumps({**places, "names": list(self.names), "hub": self.hub})

    @classmethod
    def from_text(cls, text: str) -> Fence:
        """The fence that `to_text` gave."""
        said = json.loads(text)
        read, write, own = (tuple(said[key]) for key in ("read", "write", "own"))
        return cls.of(read, write, own, tuple(said["names"]), hub=said["hub"] is True)


def _resolved(places: tuple[str | Path, ...]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(Path(place).expanduser().resolve() for place in places))


def _is_in(place: Path, folders: tuple[Path, ...]) -> bool:
    return any(place == folder or folder in place.parents for folder in folders)


def _of_environment() -> Fence | None:
    text = os.environ.get(VARIABLE)
    return Fence.from_text(text) if text else None


_now: Fence | None = _of_environment()


def current() -> Fence | None:
    """The fence of this process; None where its user's own rights are the only limit."""
    return _now


def put_up(fence: Fence) -> None:
    """This process and those that it starts stand behind the fence from now on."""
    global _now
    _now = fence
    os.environ[VARIABLE] = fence.to_text()


def ask_environment() -> None:
    """The fence is what the environment says now: in a fork that was given another."""
    global _now
    _now = _of_environment()


@contextmanager
def fenced_in(fence: Fence) -> Iterator[None]:
    """A fence for a while, in this process alone; for tests and for what is tried out."""
    global _now
    before, _now = _now, fence
    try:
        yield
    finally:
        _now = before
