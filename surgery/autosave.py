"""Steps that nobody has saved yet, in a file: what a killed process leaves behind can be made again."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary, ref

from filelock import FileLock, Timeout

from surgery import fence
from surgery.errors import SurgeryError
from surgery.measures import sidecar_of
from surgery.script import Base, Script
from surgery.session import Session
from surgery.together import all_or_none

MOST, DAYS = 20, 30
"""How many of these files are kept, and how long: nobody tidies up behind a process that was killed."""

_ENDING = ".surgery.json"


class Autosave:
    """The steps of a session in `folder`, written anew whenever `keep` finds others.

    The file is locked as long as the process lives, so that another knows it for one of the living.
    """

    def __init__(self, session: Session, folder: str | Path) -> None:
        self._session = ref(session)  # it lives no longer for being kept
        name = f"{int(time.time())}-{os.getpid()}-{secrets.token_hex(4)}{_ENDING}"
        self.place = Path(folder).expanduser() / name
        self._written: int | None = None
        self._lock: FileLock | None = None

    def keep(self) -> None:
        """Writes the steps to the current state, if they are others than before and not saved elsewhere.

        SurgeryError if it fails.
        """
        session = self._session()
        if session is None:
            return
        with session.lock:
            state, steps = session.history.current, session.steps
        kept = None if state.saved or not steps else state.id
        if kept == self._written:
            return
        if kept is None:
            self._end()
        else:
            self._hold()
            Script(base_of(session), steps).write(self.place)
        self._written = kept

    @classmethod
    def of(cls, session: Session, folder: str | Path) -> Autosave:
        """The one autosave of a session, however many screens show it."""
        if session not in _OF:
            _OF[session] = cls(session, folder)
        return _OF[session]

    def _end(self) -> None:
        """There is nothing to make again: it was saved elsewhere, or undone."""
        if self._lock is not None:
            _discard(self.place)
            self._lock.release()
            _lock_of(self.place).unlink(missing_ok=True)
            self._lock = None

    def _hold(self) -> None:
        if self._lock is not None:
            return
        try:
            fence.writing(self.place).parent.mkdir(parents=True, exist_ok=True)
            tidy(self.place.parent)
            self._lock = FileLock(_lock_of(self.place))
            self._lock.acquire(timeout=0)
        except OSError as error:
            raise SurgeryError(
                f"the steps cannot be kept here: {error.strerror}", path=str(self.place.parent)
            ) from None


_OF: WeakKeyDictionary[Session, Autosave] = WeakKeyDictionary()


@dataclass(frozen=True)
class Left:
    """What a process left behind: its steps, and when the last was made, in seconds since the epoch."""

    place: Path
    script: Script
    at: float

    def restore(self, session: Session) -> None:
        """Makes the steps again, on the model they were made on; a refusal leaves the session as it was."""
        all_or_none(session, self.script.steps)

    def discard(self) -> None:
        """Removes it."""
        _discard(self.place)
        _lock_of(self.place).unlink(missing_ok=True)


def base_of(session: Session) -> Base:
    """Which model a session is on: instead of its content, which would all be read, its structure."""
    base = session.history.base.graph or session.graph  # every step was traced with the state before it
    structure = f"structure:{base[''].structure}"
    return Base(session.opened.source, type(session.opened.model).__name__, structure)


def left_behind(session: Session, folder: str | Path) -> list[Left]:
    """What was left for the model of this session by processes that are gone, the newest first."""
    base, found = base_of(session), []
    for place in _files(Path(folder).expanduser()):
        if _is_held(place):
            continue
        try:
            left = Left(place, Script.read(place), place.stat().st_mtime)
        except (SurgeryError, OSError):
            continue  # of another version, or gone meanwhile
        if left.script.base == base and left.script.steps:
            found.append(left)
    return found


def tidy(folder: Path) -> None:
    """Removes what is too old or too much, but never what a living process holds."""
    for number, place in enumerate(_files(folder)):
        old = time.time() - place.stat().st_mtime > DAYS * 86_400
        if (old or number >= MOST) and not _is_held(place):
            _discard(place)
            _lock_of(place).unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """The files of steps in a folder, the newest first."""
    found = [place for place in folder.glob(f"*{_ENDING}") if place.is_file()] if folder.is_dir() else []
    return sorted(found, key=lambda place: (place.stat().st_mtime, place.name), reverse=True)


def _is_held(place: Path) -> bool:
    lock = FileLock(_lock_of(place))
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _lock_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


def _discard(place: Path) -> None:
    sidecar_of(place).unlink(missing_ok=True)
    place.unlink(missing_ok=True)
