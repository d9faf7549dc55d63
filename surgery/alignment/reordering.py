"""Units in another order: gathers of whole tensors, at all paths of a tie."""

from __future__ import annotations

from collections.abc import Mapping

from surgery.alignment.units import Units
from surgery.lazy import Lazy, recipe
from surgery.model import Patient
from surgery.widths.part import Cut, Part
from surgery.widths.resizing import Resizing, flat, node_of


class Reordering(Resizing):
    """The units of each group are in the order of its index: place i has what was at `index[i]`."""

    done = "reordered"

    def __init__(self, patient: Patient, indices: Mapping[Units, Lazy]) -> None:
        parts = {group: Part(path=group.name, count=group.count, cuts=group.cuts) for group in indices}
        super().__init__(patient, {part: part.count for part in parts.values()})
        self.indices = {parts[group].path: index for group, index in indices.items()}
        self.taken: dict[tuple[int, int, int, tuple[int, ...]], Lazy] = {}

    def resized(self, tensor: Lazy, part: Part, cut: Cut, shape: tuple[int, ...]) -> Lazy:
        index = self.indices[part.path]
        key = (node_of(tensor), id(index), cut.dim, flat(cut.sections))
        if key not in self.taken:
            self.taken[key] = taken(tensor, index, part.count, cut)
        return self.taken[key]


def taken(tensor: Lazy, index: Lazy, count: int, cut: Cut) -> Lazy:
    """The tensor with `count` units at `cut` in the order of `index`."""
    return recipe("take_units", tensor, index, count=count, dim=cut.dim, sections=flat(cut.sections))
