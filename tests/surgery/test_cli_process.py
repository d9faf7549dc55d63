"""The command as a process ends at once, and loses nothing by it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

BEGINNING = """
import atexit, os, sys, threading, time
import surgery.cli.process as process
"""


def ended(main: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A process whose command does this."""
    text = f"{BEGINNING}\ndef main():\n    {main}\nprocess.main = main\nprocess.run()\nprint('not reached')"
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}
    return subprocess.run([sys.executable, "-c", text], text=True, check=False, env=buffered, **options)


ENDS = {
    "pass": 0,
    "sys.exit()": 0,
    "sys.exit(2)": 2,
    "raise SystemExit(130)": 130,
    "sys.exit('a sentence')": 1,
    "raise RuntimeError('a defect')": 1,
}


@pytest.mark.parametrize("main", ENDS)
def test_the_status_is_that_of_the_command(main: str) -> None:
    """Where it ended by itself, was ended, or failed; what is said of that is said."""
    found = ended(main, capture_output=True)
    assert found.returncode == ENDS[main] and "not reached" not in found.stdout
    assert found.stderr.endswith({1: main.split("'")[1] + "\n"}.get(ENDS[main], "") if "'" in main else "")


def test_all_that_was_said_arrives() -> None:
    """Through a pipe too, which is written to in blocks; errors with it."""
    found = ended("print('x' * 1_000_000, end=''); print('y' * 9, file=sys.stderr)", capture_output=True)
    assert (len(found.stdout), found.stderr) == (1_000_000, "y" * 9 + "\n")


def test_what_waits_for_the_end_is_done() -> None:
    """Threads are waited for and exit functions called, in that order; daemons are not waited for."""
    main = (
        "atexit.register(print, 'exit', flush=True); "
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); "
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()"
    )
    assert ended(main, capture_output=True, timeout=30).stdout == "thread\nexit\n"


def test_output_that_nobody_reads() -> None:
    """The status is Python's own for that, unless the command had another."""
    read, write = os.pipe()
    os.close(read)
    for main, status in (("print('x')", 120), ("print('x'); sys.exit(2)", 2)):
        assert ended(main, stdout=write, stderr=subprocess.PIPE).returncode == status
    os.close(write)


def test_an_idle_pool_keeps_nobody() -> None:
    """Its threads wait for work for ever, unless they are told that none will come."""
    main = (
        "from concurrent.futures import ThreadPoolExecutor; "
        "process.pool = ThreadPoolExecutor(); process.pool.submit(print, 'work').result()"
    )
    found = ended(main, capture_output=True, timeout=30)
    assert (found.returncode, found.stdout) == (0, "work\n")


def test_closed_output() -> None:
    """A process may have none."""
    main = "sys.stdout.close(); sys.stdout = None; sys.exit(2)"
    assert ended(main, stderr=subprocess.PIPE).returncode == 2
