"""How the engine finds the studio without importing it: the entry-point group `surgery.frontends`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from surgery.errors import SurgeryError

GROUP = "surgery.frontends"


def frontend(name: str) -> Any:
    """The front end registered under `name`."""
    for point in entry_points(group=GROUP, name=name):
        return point.load()
    raise SurgeryError(
        f"no front end called {name!r} is installed", hint="installing the package with `pip install .`"
    )
