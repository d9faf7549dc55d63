"""Who hears how far a measure is, who may stop it, and where what it collects is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from surgery.calibration.kept import Kept
from surgery.stopping import checker

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Telling:
    """`progress(fraction, label)` hears how far a measure is; `check` raises Stopped once that is asked."""

    progress: Progress = lambda *_: None
    check: Callable[[], None] = lambda: None
    kept: Kept = field(default_factory=Kept)


_here: ContextVar[Telling | None] = ContextVar("surgery_calibration", default=None)


@contextmanager
def listening(
    progress: Progress | None = None, stop: threading.Event | None = None, kept: Kept | None = None
) -> Iterator[None]:
    """Within, a measure in this thread tells `progress`, ends with Stopped once `stop` is set, and keeps.

    What is not given here is as around it.
    """
    around = told()
    inner = Telling(
        around.progress if progress is None else progress,
        around.check if stop is None else checker(stop),
        around.kept if kept is None else kept,
    )
    token = _here.set(inner)
    try:
        yield
    finally:
        _here.reset(token)


def told() -> Telling:
    """Whom a measure in this thread tells; nobody, where nobody asked."""
    return _here.get() or Telling()
