"""Which groups of units a step means, and why those it names may not change places."""

from __future__ import annotations

from graph.paths import is_among
from surgery.alignment.units import Units
from surgery.errors import SurgeryError
from surgery.fields import Targets
from surgery.model import Patient


def groups_among(patient: Patient, groups: list[Units], targets: Targets, kind: str) -> list[Units]:
    """The groups of a kind, or of `all`, that the targets write; SurgeryError if there is none.

    One that is refused is left out where all kinds are meant, and refused where it was asked for.
    """
    fitting = [group for group in groups if kind in ("all", group.kind)]
    inside = {group: [is_among(path, targets.paths) for path in group.members] for group in fitting}
    mine = [group for group in fitting if all(inside[group])]
    for group in mine:
        if group.refused and (kind != "all" or len(mine) == 1):
            raise SurgeryError(group.refused, path=group.path)
    mine = [group for group in mine if not group.refused]
    if mine:
        return mine
    if (part := next((group for group in fitting if any(inside[group])), None)) is not None:
        others = [path for path in part.members if not is_among(path, targets.paths)]
        raise SurgeryError(
            "writes units that others write too, and they keep one order",
            path=next(path for path in part.members if path not in others),
            got=", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else ""),
            hint="all of them as targets, or what contains them",
        )
    raise _nothing(patient, groups, targets, kind)


def _nothing(patient: Patient, groups: list[Units], targets: Targets, kind: str) -> SurgeryError:
    for group in groups:
        held = next((cut.path for cut in group.cuts if is_among(cut.path, targets.paths)), None)
        if held is not None and group.kind == "heads" and kind != "width":
            return SurgeryError(
                "has the entries of heads, which keep their order: positions pair them inside a head",
                path=held.rpartition(".")[0],
                hint=f'`permute("{group.path}", units="heads")`, which moves whole heads',
            )
    known = ", ".join(dict.fromkeys(group.kind for group in groups))
    return SurgeryError(
        f"has no {'units' if kind == 'all' else kind} that may change places: they go in or out of the "
        "model, or through an operator that may tell them apart",
        path=targets.select,
        got=f"{known} elsewhere in the model" if groups else None,
        hint=f'`permute("{groups[0].path}")`' if groups else None,
    )
