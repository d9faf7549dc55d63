"""Progress on the command line, and Ctrl-C that stops what runs without losing what it found."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Tell = Callable[[float, str], None]


@contextmanager
def interruptible() -> Iterator[tuple[Tell, threading.Event]]:
    """Within, a function that shows a fraction and a label, and an event that the first Ctrl-C sets.

    The second Ctrl-C is the ordinary one. A bar on a terminal, nothing elsewhere.
    """
    stop = threading.Event()

    def asked(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, asked)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as shown:
            bar = shown.add_task("", total=1.0)
            yield (lambda fraction, label: shown.update(bar, completed=fraction, description=label)), stop
    finally:
        signal.signal(signal.SIGINT, before)
