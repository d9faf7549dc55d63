"""The register of operations: those of `surgery.operations` and of installed packages, by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract

from graph.paths import nearest
from surgery.errors import SurgeryError
from surgery.operation import Operation

ENTRY_POINTS = "surgery.operations"


@dataclass(frozen=True)
class Unavailable:
    """An operation that a package brings and that cannot be had: its name, where it should come from, why."""

    name: str
    source: str
    reason: str


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
    from surgery.operations import BUILT_IN

    found: dict[str, type[Operation]] = {cls.name: cls for cls in BUILT_IN}
    failed: list[Unavailable] = []
    for point in entry_points(group=ENTRY_POINTS):
        loaded = _loaded(point, found)
        if isinstance(loaded, Unavailable):
            failed.append(loaded)
        else:
            found[loaded.name] = loaded
    return Register(found, tuple(failed))


def operation_named(name: str) -> type[Operation]:
    """The operation called `name`; SurgeryError with the nearest name, or the reason it cannot be had."""
    known = operations()
    if name in known:
        return known[name]
    if failed := unavailable(name):
        raise SurgeryError(
            f"the operation {name!r} of {failed.source} cannot be had: {failed.reason}",
            hint="mending or updating the package that brings it",
        )
    near = nearest(name, list(known), 1)
    raise SurgeryError(
        f"no operation is called {name!r}",
        expected=f"one of {', '.join(sorted(known))}",
        hint=f"`{near[0]}`" if near else "installing the package that brings it",
    )


def why_not(name: str) -> str:
    """The end of a sentence on a name that is no operation: which package brings one that cannot be had."""
    failed = None if name.startswith("_") else unavailable(name)
    return f"; {failed.source} brings one, but {failed.reason}" if failed else ""


def reserved() -> set[str]:
    """Names that a session has for something else: an operation called so could not be its method."""
    from surgery.session import Session

    return {*dir(Session), "opened", "model", "history", "tracing", "lock"}


def _loaded(point: EntryPoint, taken: dict[str, type[Operation]]) -> type[Operation] | Unavailable:
    """The class that an entry point names, or why it cannot be had."""
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:  # it is somebody else's code
        reason = f"{type(error).__name__}: {error}".rstrip(": ").partition("\n")[0]
        return Unavailable(point.name, point.value, reason)
    if not (isinstance(cls, type) and issubclass(cls, Operation) and isinstance(vars(cls).get("name"), str)):
        return Unavailable(point.name, point.value, "it is no class made with @operation")
    if isabstract(cls):
        return Unavailable(cls.name, point.value, "it has no plan")
    if cls.name in taken:
        return Unavailable(cls.name, point.value, "its name is taken by another operation")
    if cls.name in reserved():
        return Unavailable(cls.name, point.value, f"its name is that of the session's own `s.{cls.name}`")
    return cls
