"""Which edits a sweep tries: one of a kind at each of the selected places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.operation import Operation
from surgery.registry import operation_named
from surgery.selecting import resolve
from surgery.widths.registry import KINDS


def candidates(
    patient: Patient, name: str, select: str, *, of: int = 1, each: bool = False, **fields: Any
) -> list[Operation]:
    """Operations called `name`, each with these `fields`, at the places that `select` gives.

    One per module; with `of` one per run of so many neighbours; of an operation that takes a second module
    which is not among the `fields`, one per neighbouring pair, the later made of the earlier. `each`: of
    `narrow`, one per unit, which alone goes. Raises SurgeryError where that is none.
    """
    cls = operation_named(name)
    if each:
        found = list(_units(patient, name, select, fields))
    else:
        paths = resolve(select, patient.root)
        names = [spec.name for spec in cls.specs if spec.kind in ("path", "paths") and spec.is_asked]
        if not names:
            raise SurgeryError(f"{name} takes no module, so there is nothing to sweep over")
        where, second = names[0], next((other for other in names[1:] if _needed(cls, other, fields)), None)
        if second is not None:
            found = [cls.of(**{where: two, second: one}, **fields) for one, two in _runs(paths, 2)]
        else:
            found = [cls.of(**{where: ", ".join(run)}, **fields) for run in _runs(paths, of)]
    if not found:
        raise SurgeryError(
            f"there is nothing to sweep {name} over", path=select, hint="a selector of more modules"
        )
    return found


def _needed(cls: type[Operation], name: str, fields: dict[str, Any]) -> bool:
    return name not in fields and any(spec.name == name and spec.required for spec in cls.specs)


def _runs(paths: tuple[str, ...], length: int) -> Iterator[tuple[str, ...]]:
    """Runs of neighbours among the paths, within the module that holds them."""
    if length < 1:
        raise SurgeryError("a run has one module or more", got=length)
    for start in range(len(paths) - length + 1):
        run = paths[start : start + length]
        if len({path.rpartition(".")[0] for path in run}) == 1:
            yield run


def _units(patient: Patient, name: str, select: str, fields: dict[str, Any]) -> Iterator[Operation]:
    """Each unit of each part within the selection gone, all others kept."""
    cls, units = operation_named(name), fields.get("units", "neurons")
    if name != "narrow" or units not in KINDS or units in ("channels", "vocabulary", "width"):
        raise SurgeryError(
            "only heads, neurons and experts can be left out one by one",
            got=f"{name}, units={units}",
            hint='`sweep("narrow", …, units="heads", each=True)`',
        )
    inside = resolve(select, patient.root)
    for part in KINDS[units](patient):
        if any(part.path == path or f"{part.path}.".startswith(f"{path}.") for path in inside):
            for gone in range(part.count):
                kept = tuple(unit for unit in range(part.count) if unit != gone)
                yield cls.of(part.path, **{**fields, "units": units, "kept": kept})
