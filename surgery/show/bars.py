"""Bars on a terminal, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextmanager
def fractions_bar() -> Iterator[Callable[[float, str], None]]:
    """Within, a bar that is told a fraction and a label."""
    with _progress(TimeRemainingColumn()) as shown:
        bar = shown.add_task("", total=1.0)
        yield lambda fraction, label: shown.update(bar, completed=fraction, description=label)


@contextmanager
def bytes_bar() -> Iterator[Callable[[int, int], None]]:
    """Within, a bar that is told bytes done, of how many."""
    with _progress(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as shown:
        bar = shown.add_task("weights", total=None)
        yield lambda done, of: shown.update(bar, completed=done, total=of)


def _progress(*columns: ProgressColumn) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), *columns, console=Console(stderr=True))
