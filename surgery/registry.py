"""The register of operations: those of `surgery.operations` and of installed packages, by name."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from graph.paths import nearest
from surgery.errors import SurgeryError
from surgery.operation import Operation

ENTRY_POINTS = "surgery.operations"


@cache
def operations() -> dict[str, type[Operation]]:
    """All operations by name, ours first, then those of the entry-point group `surgery.operations`."""
    from surgery.operations import BUILT_IN

    found: dict[str, type[Operation]] = {cls.name: cls for cls in BUILT_IN}
    for point in entry_points(group=ENTRY_POINTS):
        cls = point.load()
        if cls.name in found:
            raise SurgeryError(
                f"the operation {cls.name!r} of {point.value} has a name that is taken",
                hint="another name for its class",
            )
        found[cls.name] = cls
    return found


def operation_named(name: str) -> type[Operation]:
    """The operation called `name`; SurgeryError with the nearest name otherwise."""
    known = operations()
    if name not in known:
        near = nearest(name, list(known), 1)
        raise SurgeryError(
            f"no operation is called {name!r}",
            expected=f"one of {', '.join(sorted(known))}",
            hint=f"`{near[0]}`" if near else "installing the package that brings it",
        )
    return known[name]
