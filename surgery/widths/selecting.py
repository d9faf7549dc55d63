"""Which parts an operation is to take: those that lie whole among its targets."""

from __future__ import annotations

from graph.paths import is_among
from surgery.errors import SurgeryError
from surgery.fields import Targets
from surgery.widths.part import Part


def parts_among(parts: list[Part], targets: Targets, units: str, known: str) -> list[Part]:
    """The parts within the targets; SurgeryError if there is none.

    `known` says in words whose parts these are: "narrow knows how to take apart".
    """
    inside = {
        part: [is_among(path, targets.paths) for path in part.members or (part.path,)] for part in parts
    }
    mine = [part for part in parts if all(inside[part])]
    if mine:
        return mine
    if cut := next((part for part in parts if any(inside[part])), None):
        outside = [path for path in cut.members if not is_among(path, targets.paths)]
        shared = "width is also that" if units == "width" else f"{units} are also those"
        raise SurgeryError(
            f"its {shared} of modules that are not among the targets",
            path=next(path for path in cut.members if path not in outside),
            got=", ".join(outside[:4]) + (f" and {len(outside) - 4} more" if len(outside) > 4 else ""),
            hint="all of them as targets, or what contains them",
        )
    raise _nothing(parts, targets, units, known)


def _nothing(parts: list[Part], targets: Targets, units: str, known: str) -> SurgeryError:
    """Why nothing is taken: the targets are a piece of something, or there is nothing at all."""
    for part in parts if units != "channels" else ():  # of which a piece reads what others write
        if any(is_among(cut.path, targets.paths) for cut in part.cuts):
            return SurgeryError(
                f"has only a piece of what its {units} are made of",
                path=targets.select,
                hint=f"`{part.path}`",
            )
    if units == "width" and not parts:
        return SurgeryError(
            "has no residual stream that can be cut: what comes out of the model stays, and what torch's own "
            "attention reads, or an operator that nobody knows",
            path=targets.select,
        )
    return SurgeryError(
        f"has no {units} that {known}",
        path=targets.select,
        hint=f"`{parts[0].path}`" if parts else None,
    )
