"""The processes of a server under test, and waiting for what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from tools.serve import Studio
from widgets.server.mother.birth import KERNEL, MOTHER


def kernels(studio: Studio) -> list[psutil.Process]:
    """The kernel processes of a server: forks of its mother, or started by itself."""
    return [process for process, name in _below(studio) if name == KERNEL or "ipykernel" in name]


def mother(studio: Studio) -> psutil.Process:
    """The process that a server has its kernels forked from."""
    (found,) = (process for process, name in _below(studio) if name == MOTHER)
    return found


def _below(studio: Studio) -> list[tuple[psutil.Process, str]]:
    """The processes of a server, each with its name and, where it is no fork, its command line."""
    found = []
    for child in psutil.Process(studio.pid).children(recursive=True):
        try:
            name = child.name()
            found.append((child, name if name in (KERNEL, MOTHER) else " ".join(child.cmdline())))
        except psutil.Error:  # it ended while we looked
            continue
    return found


def wait_until(holds: Callable[[], bool], within_s: float = 60) -> bool:
    """Whether `holds` became true in time."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True
