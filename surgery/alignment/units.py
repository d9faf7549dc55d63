"""Units that may change places, as steps keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from surgery.charts.names import told_apart
from surgery.errors import SurgeryError
from surgery.fields import Found
from surgery.model import Patient
from surgery.widths.part import Cut

Kind = Literal["neurons", "heads", "channels", "width"]
KINDS: tuple[Kind, ...] = ("neurons", "heads", "channels", "width")
_MANY = 6  # groups of which a chart has no room for the names


@dataclass(frozen=True)
class Units:
    """`count` units that lie in the same order in all `cuts`, at every path of a tied tensor.

    In another order, the same in each of them, the model computes the same. `members` are the modules that
    write them, of which `path` is the first, or the attention around heads. `name` tells groups apart that
    begin at one module.
    """

    name: str
    path: str
    kind: Kind
    count: int
    members: tuple[str, ...]
    cuts: tuple[Cut, ...]
    refused: str = ""
    """Why they may not change places after all, if so."""

    def __hash__(self) -> int:
        return hash(self.name)  # unique in a model; to hash all cuts takes long

    @property
    def size(self) -> int:
        """How many entries a unit has at the most along a dimension: more than one if it is a block."""
        return max(sum(size for _, size in cut.sections) for cut in self.cuts)


def labels(groups: list[Units]) -> tuple[str, ...]:
    """What a chart calls the groups: what their names differ in, or numbers from 1 where they are many."""
    if len(groups) > _MANY:
        return tuple(map(str, range(1, len(groups) + 1)))
    return tuple(told_apart([group.name for group in groups]))


def frozen(groups: list[Units]) -> Found:
    """Groups as a step keeps them: nothing has to run to do the step again."""
    return Found(
        [
            {
                "name": group.name,
                "path": group.path,
                "kind": group.kind,
                "count": group.count,
                "members": list(group.members),
                "places": [[cut.path, cut.dim, [list(each) for each in cut.sections]] for cut in group.cuts],
            }
            for group in groups
        ]
    )


def thawed(patient: Patient, found: Found, operation: str) -> list[Units]:
    """The groups that a step of this operation keeps; SurgeryError if this model has no such tensors."""
    try:
        groups = [_units(item) for item in found.data]
    except (KeyError, TypeError, ValueError):
        raise SurgeryError(f"{operation}.found is not what {operation} writes there") from None
    for group in groups:
        for cut in group.cuts:
            _check(patient, group, cut, operation)
    return groups


def _units(item: Any) -> Units:
    kinds: dict[str, Kind] = {kind: kind for kind in KINDS}
    return Units(
        name=str(item["name"]),
        path=str(item["path"]),
        kind=kinds[item["kind"]],
        count=int(item["count"]),
        members=tuple(map(str, item["members"])),
        cuts=tuple(
            Cut(str(path), int(dim), tuple((int(start), int(size)) for start, size in sections))
            for path, dim, sections in item["places"]
        ),
    )


def _check(patient: Patient, group: Units, cut: Cut, operation: str) -> None:
    shape = (patient.buffer(cut.path) or patient.tensor(cut.path)).shape
    inside = 0 <= cut.dim < len(shape) and all(
        start >= 0 and size > 0 and start + group.count * size <= shape[cut.dim]
        for start, size in cut.sections
    )
    if not inside:
        raise SurgeryError(
            f"{operation} was recorded on a tensor of another shape",
            path=cut.path,
            got=list(shape),
            hint="the model the script was made on, or making the step anew",
        )
