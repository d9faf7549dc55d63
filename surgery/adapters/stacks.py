"""Adapters in a model: a stack around each module, found by path and by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graph.paths import is_among, nearest
from surgery.adapters.adapter import Adapter
from surgery.errors import SurgeryError
from surgery.fields import Targets
from surgery.model import Patient

Stack = list[tuple[str, Adapter]]
"""Adapters around one module with their paths, the innermost first."""


def adapted(patient: Patient, targets: Targets, names: Sequence[str] = ()) -> Stack:
    """The adapters at or under the targets, in the order of the tree; refused if there are none.

    Of these `names` only, if any are given; each must be there. A path that leads to a place by way of a
    module used twice is left out.
    """
    found = [
        (path, module)
        for path, module in patient.walk()
        if isinstance(module, Adapter) and is_among(path, targets.paths)
    ]
    if not found:
        raise SurgeryError("carries no adapter", path=targets.select, hint="`attach` first")
    known = dict.fromkeys(adapter.name for _, adapter in found)
    for name in names:
        if name not in known:
            near = nearest(name, list(known), 1)
            raise SurgeryError(
                f"carries no adapter called {name!r}",
                path=targets.select,
                expected=f"one of {', '.join(known)}",
                hint=f"`{near[0]}`" if near else None,
            )
    places = set(distinct(patient, [path for path, _ in found]))
    return [
        (path, adapter) for path, adapter in found if path in places and (not names or adapter.name in names)
    ]


def distinct(patient: Patient, paths: Iterable[str]) -> list[str]:
    """One path for each slot that the paths name: in a module used twice, two paths are one slot."""
    found: dict[tuple[int, str], str] = {}
    for path in paths:
        found.setdefault(slot_at(patient, path), path)
    return list(found.values())


def slot_at(patient: Patient, path: str) -> tuple[int, str]:
    """Which slot a path names: the module that holds it, by id, and the name there."""
    around, _, name = path.rpartition(".")
    return id(patient.module(around)), name


def outermost(patient: Patient, path: str) -> str:
    """The path of the outermost adapter around the module at `path`; the path itself where there is none."""
    around, _, name = path.rpartition(".")
    while path and name == "base" and isinstance(patient.module(around), Adapter):
        path = around
        around, _, name = path.rpartition(".")
    return path


def stack_at(patient: Patient, path: str) -> Stack:
    """The adapters at `path`, which is the outermost one's, and inside it."""
    found: Stack = []
    while isinstance(module := patient.module(path), Adapter):
        found.append((path, module))
        path = f"{path}.base"
    return found[::-1]


def root_path(patient: Patient, path: str) -> str:
    """The path of the module inside all adapters at `path`."""
    while isinstance(patient.module(path), Adapter):
        path = f"{path}.base"
    return path


def inner_first(stack: Stack) -> Stack:
    """The adapters so that what is inside another comes before it: to take them off one by one."""
    return sorted(stack, key=lambda item: -item[0].count("."))


def named(text: str) -> tuple[str, ...]:
    """The names in a text that are divided by commas."""
    return tuple(dict.fromkeys(part for part in (part.strip() for part in text.split(",")) if part))
