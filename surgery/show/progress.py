"""Progress on the command line, and Ctrl-C that stops what runs without losing what it found."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from graph.units import short

Tell = Callable[[float, str], None]
TellBytes = Callable[[int, int], None]
"""Hears of bytes done, of how many."""

_LINE_EVERY_S = 10.0


@contextmanager
def interruptible(*, bar: bool = True) -> Iterator[tuple[Tell, threading.Event]]:
    """Within, a function that shows a fraction and a label, and an event that the first Ctrl-C sets.

    The second Ctrl-C is the ordinary one. A bar on a terminal if it is wanted, nothing elsewhere.
    """
    stop = threading.Event()

    def asked(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, asked)
    try:
        with _fractions(bar) as told:
            yield told, stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def bytes_shown(wanted: bool = True) -> Iterator[TellBytes | None]:
    """Within, a function that shows bytes done and the time that is left; None if it is not `wanted`.

    A bar in a notebook or on a terminal; elsewhere, as in a log, a line now and then. On standard error.
    """
    if not wanted:
        yield None
    elif _in_notebook():
        with _notebook_bar() as told:
            yield told
    elif sys.stderr.isatty():
        from surgery.show.bars import bytes_bar

        with bytes_bar() as told:
            yield told
    else:
        yield _Lines()


@contextmanager
def telling(progress: TellBytes | bool | None) -> Iterator[TellBytes | None]:
    """Within, whom to tell: the function given, or what `bytes_shown` shows it by if it is True."""
    with bytes_shown(progress is True) as shown:
        yield shown if isinstance(progress, bool) else progress


@contextmanager
def _fractions(bar: bool) -> Iterator[Tell]:
    """A bar on a terminal, nothing elsewhere."""
    if not bar or not sys.stderr.isatty():
        yield lambda fraction, label: None
        return
    from surgery.show.bars import fractions_bar

    with fractions_bar() as told:
        yield told


class _Lines:
    """Prints how far it is, at the start, now and then, and at the end."""

    def __init__(self, every_s: float = _LINE_EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.every_s, self.clock = every_s, clock
        self.began: tuple[float, int] | None = None
        self.last_s, self.last = 0.0, -1

    def __call__(self, done: int, of: int) -> None:
        now_s, first = self.clock(), self.began is None
        if self.began is None:
            self.began = now_s, done
        if done != self.last and (first or done == of or now_s - self.last_s >= self.every_s):
            self.last_s, self.last = now_s, done
            print(f"{short(done, 'B')} of {short(of, 'B')}{self._left(now_s, done, of)}", file=sys.stderr)

    def _left(self, now_s: float, done: int, of: int) -> str:
        assert self.began is not None
        since_s, more = now_s - self.began[0], done - self.began[1]
        if not more or done >= of:
            return ""
        left_s = round(since_s / more * (of - done))
        hours, minutes = divmod(left_s // 60, 60)
        return f", {hours}:{minutes:02}:{left_s % 60:02} left"


def _in_notebook() -> bool:
    """Whether a kernel runs this, without loading anything to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def _notebook_bar() -> Iterator[TellBytes]:
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    with tqdm(desc="weights", unit="B", unit_scale=True) as bar:

        def told(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        yield told
