"""The tests run on what they were asked to: `make test` on the wheel, whoever edits on the checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tested import PACKAGES, TESTED, place

SAY = f"from importlib.util import find_spec; print(*(find_spec(name).origin for name in {PACKAGES}))"


@pytest.mark.parametrize("package", PACKAGES)
def test_it_comes_from_there(package: str) -> None:
    """In the process of the tests."""
    assert place(package) == TESTED


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
def test_processes_have_the_same(elsewhere: bool, tmp_path: Path) -> None:
    """In those that tests start, whatever folder they work in."""
    folder = tmp_path if elsewhere else None
    done = subprocess.run([sys.executable, "-c", SAY], cwd=folder, capture_output=True, text=True, check=True)
    assert [Path(file).parents[1] for file in done.stdout.split()] == [TESTED] * len(PACKAGES)
