"""The register of operations: those of `surgery.operations` and of installed packages, by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

from surgery.entries import Kind, Unavailable, gathered, named
from surgery.operation import Operation
from surgery.operations import PLACES, all_shipped, shipped

ENTRY_POINTS = "surgery.operations"
_KIND = Kind(Operation, "operation", "@operation", "plan")


@dataclass(frozen=True)
class Register:
    """All operations by name, and those of installed packages that are not among them."""

    operations: dict[str, type[Operation]]
    unavailable: tuple[Unavailable, ...]


def operations() -> dict[str, type[Operation]]:
    """All operations by name, ours first, then those of the entry-point group `surgery.operations`."""
    return register().operations


def unavailable(name: str) -> Unavailable | None:
    """The operation called `name` that cannot be had, if a package brings one."""
    return next((item for item in register().unavailable if item.name == name), None)


@cache
def register() -> Register:
    """What there is; a package that fails, or takes a name that is not free, costs no other anything."""
    return Register(*gathered(_KIND, all_shipped(), entry_points(group=ENTRY_POINTS), _reason))


def operation_named(name: str) -> type[Operation]:
    """The operation called `name`; SurgeryError with the nearest name, or the reason it cannot be had."""
    return shipped(name) if name in PLACES else named(_KIND, name, operations(), register().unavailable)


def why_not(name: str) -> str:
    """The end of a sentence on a name that is no operation: which package brings one that cannot be had."""
    failed = None if name.startswith("_") else unavailable(name)
    return f"; {failed.source} brings one, but {failed.reason}" if failed else ""


def reserved() -> set[str]:
    """Names that a session has for something else: an operation called so could not be its method."""
    from surgery.session import Session

    return {*dir(Session), "opened", "model", "history", "tracing", "fingerprinter", "lock", "calibrations"}


def _reason(name: str) -> str | None:
    return f"its name is that of the session's own `s.{name}`" if name in reserved() else None
