"""The processes of a server under test, and waiting for what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from tools.serve import Studio


def kernels(studio: Studio) -> list[psutil.Process]:
    """The kernel processes of a server."""
    found = []
    for child in psutil.Process(studio.pid).children():
        try:
            if any("ipykernel" in part for part in child.cmdline()):
                found.append(child)
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
