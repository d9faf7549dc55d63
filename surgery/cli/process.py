"""The command as a process of its own: it starts and ends sooner than Python would have it."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from contextlib import suppress

from surgery.cli import main

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of settings in glibc's malloc.h
_KEPT_BYTES, _MAPPED_BYTES = 1 << 26, 1 << 25


def run() -> None:
    """`main`, which ends without taking apart all that torch has made.

    That would take a third of a second, and the memory goes back to the system anyway.
    """
    _keep_memory()
    try:
        main()
        status = 0
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        status = ended.code or 0
    threading._shutdown()  # type: ignore[attr-defined]  # pools that idle are told, threads are waited for
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # as Python ends where nobody reads what is left
            status = status or 120
    os._exit(status)


def _keep_memory() -> None:
    """Has glibc keep what was freed for what is asked for next, where that is glibc.

    Tensors are made in pieces of a megabyte, and each would be given back to the system and asked for anew,
    page by page: a sixth of the time of a merge.
    """
    with suppress(OSError, AttributeError):
        setting = ctypes.CDLL("libc.so.6").mallopt
        setting(_TRIM_THRESHOLD, _KEPT_BYTES)
        setting(_MMAP_THRESHOLD, _MAPPED_BYTES)
