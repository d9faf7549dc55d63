"""Waiting for what processes become."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def wait_until(holds: Callable[[], bool], within_s: float = 60) -> bool:
    """Whether `holds` became true in time."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    """Whether soon there is no such process any more, not even as a zombie."""
    return wait_until(lambda: not psutil.pid_exists(pid))
