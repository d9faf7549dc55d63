"""What the tests run on: the checkout; or, where `SURGERY_WHEEL` says so, the wheel built from it."""

import os
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("graph", "surgery", "widgets")
ROOT = Path(__file__).parent.parent

WHEEL = Path(os.environ["SURGERY_WHEEL"]) if "SURGERY_WHEEL" in os.environ else None
"""The folder that `python -m tools.wheel` made."""

TESTED = ROOT if WHEEL is None else WHEEL / "installed"
"""The folder that the packages are to come from."""


def place(package: str) -> Path | None:
    """The folder that a package does come from; None if it cannot be found."""
    spec = find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parents[1]


def child_path(*first: Path) -> str:
    """A `PYTHONPATH` for a process that is to run on the same: `first`, then what is tested."""
    return os.pathsep.join([*map(str, first), str(TESTED), str(ROOT)])
