"""Room for deep models: a call may nest modules thousands deep, each several frames of Python."""

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from graph.tracing.shared import Shared

T = TypeVar("T")

SHALLOW = 60
"""Levels that a thread's own stack holds with ease, whoever calls."""

_recursion = Shared(sys.getrecursionlimit, sys.setrecursionlimit)
_starting = threading.Lock()

_FRAMES, _STACK = 16, 64 * 1024  # per level: frames of Python, bytes of stack


def with_room(levels: int, run: Callable[[], T]) -> T:
    """`run()`, which nests module calls `levels` deep.

    Past SHALLOW it runs in a thread of its own with a stack to match, and the recursion limit is
    raised meanwhile. What `run` raises is raised here.
    Python 3.12.0 to 3.12.2 end at some 200 levels all the same, traced or not: those limit frames of C
    apart, by a fixed number.
    """
    if levels <= SHALLOW:
        return run()
    done: list[T] = []
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            done.append(run())
        except BaseException as error:
            failed.append(error)

    with _recursion.at_least(1_000 + levels * _FRAMES):
        thread = threading.Thread(target=guarded, name="deep trace", daemon=True)
        with _starting:
            size = threading.stack_size(16 * 1024 * 1024 + levels * _STACK)
            try:
                thread.start()
            finally:
                threading.stack_size(size)
        thread.join()
    if failed:
        raise failed[0]
    return done[0]
