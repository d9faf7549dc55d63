"""Which modules an adapter's file means where blocks were cut or moved since the model was opened."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from surgery.adapters.stacks import outermost, root_path
from surgery.errors import SurgeryError
from surgery.fields import Found
from surgery.model import Patient

MadeFor = Literal["ask", "opened", "now"]


def places_of(patient: Patient, paths: Collection[str]) -> dict[str, list[str]]:
    """Where the modules are now that had these paths when the model was opened; none for what is gone."""
    found: dict[str, list[str]] = {path: [] for path in paths}
    for path, module in patient.walk():
        origin = patient.origins.get(module)
        if origin in found:
            found[origin].append(outermost(patient, path))
    return found


def refuse_moved(patient: Patient, paths: Collection[str], source: str) -> None:
    """SurgeryError if a module at one of the paths, or the one that had it at first, has another path now."""
    there, moved = {path for path, _ in patient.walk()}, places_of(patient, paths)
    for path in paths:
        here, origin = path, None
        if path in there:
            origin = patient.origins.get(patient.module(root_path(patient, path)))
        elif moved[path]:
            here, origin = moved[path][0], path
        if origin is not None and ":" not in origin and origin != here:
            raise SurgeryError(
                f"was {origin} when the model was opened, so it is not known which of both an adapter means",
                path=here,
                got=source,
                hint='`made_for="opened"`, which follows the blocks, or `made_for="now"`, paths as they are',
            )


def read(found: Found | None) -> dict[str, list[str]]:
    """What `places_of` gave, from a step; SurgeryError for data of another form."""
    data: Any = {} if found is None else found.data
    if not isinstance(data, dict) or not all(
        isinstance(key, str) and isinstance(value, list) and all(isinstance(path, str) for path in value)
        for key, value in data.items()
    ):
        raise SurgeryError("adopt.moved does not fit", got=repr(data)[:80], expected="paths by path")
    return data
