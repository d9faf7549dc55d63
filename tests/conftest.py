"""What every test stands on: no network, and one thread for each of several processes."""

import os
import tempfile

import pytest

from tests.tested import PACKAGES, TESTED, WHEEL, place

# Before any test imports transformers, which reads it once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What the studio remembers goes where no user's own is.
os.environ["JUPYTER_DATA_DIR"] = tempfile.mkdtemp(prefix="surgery-jupyter-")


def pytest_configure() -> None:
    """Tests that were asked for the wheel do not begin on anything else."""
    found = {package: place(package) for package in PACKAGES}
    if WHEEL is not None and set(found.values()) != {TESTED}:
        raise pytest.UsageError(f"SURGERY_WHEEL: the packages come from {found}; expected {TESTED}.")
