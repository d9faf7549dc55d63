"""Cutting units out of parts: recipes that choose which stay, and take those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from surgery.lazy import Held, Lazy, recipe
from surgery.model import Patient
from surgery.widths.part import Cut, Part
from surgery.widths.resizing import Resizing, flat, node_of


class Cutting(Resizing):
    """Each part keeps as many units as `left` says.

    `kept` are the places that stay in a part; without them `by` says how they are chosen.
    """

    done = "narrowed"

    def __init__(
        self, patient: Patient, left: dict[Part, int], kept: Mapping[Part, tuple[int, ...]], by: str
    ) -> None:
        super().__init__(patient, left)
        self.kept, self.by = kept, by
        self.chosen: dict[tuple[tuple[int, Cut], ...], Lazy] = {}
        self.indices = {part: self._index(part) for part in left}
        self.taken: dict[tuple[int, int, int, tuple[int, ...]], Lazy] = {}

    def resized(self, tensor: Lazy, part: Part, cut: Cut, shape: tuple[int, ...]) -> Lazy:
        index, sections = self.indices[part], flat(cut.sections)
        key = (node_of(tensor), id(index), cut.dim, sections)
        if key not in self.taken:
            self.taken[key] = recipe(
                "take_units",
                tensor,
                index,
                shape=shape,
                count=part.count,
                dim=cut.dim,
                sections=sections,
            )
        return self.taken[key]

    def _index(self, part: Part) -> Lazy:
        """The places that stay, chosen once for parts that share all their tensors."""
        tensors = [self.tensor(cut.path) for cut in part.cuts]
        key = held_by(part, tensors)
        if key not in self.chosen:
            self.chosen[key] = self._choice(part)
        return self.chosen[key]

    def _choice(self, part: Part) -> Lazy:
        left = self.left[part]
        kept = self.kept.get(part, ())
        if kept or self.by == "first":
            places = kept or tuple(range(left))
            return recipe("chosen", shape=(left,), dtype=torch.int64, places=places)
        scores = energies(self.patient, part)
        return recipe("largest", scores, shape=(left,), dtype=torch.int64, keep=left)


def held_by(part: Part, tensors: list[Held]) -> tuple[tuple[int, Cut], ...]:
    """What a part is made of: equal for parts that share all their tensors, whose units go together."""
    return tuple(
        (id(tensor.parameter), replace(cut, path="")) for cut, tensor in zip(part.cuts, tensors, strict=True)
    )


def energies(patient: Patient, part: Part) -> Lazy:
    """Σ w² over all that belongs to each unit, (count,)."""
    tensors = [patient.buffer(cut.path) or patient.tensor(cut.path) for cut in part.cuts]
    once = {
        (id(tensor.parameter), cut.dim, cut.sections): (cut, tensor)  # a tied tensor counts once
        for cut, tensor in zip(part.cuts, tensors, strict=True)
        if cut.scored
    }
    scored = list(once.values())
    wide = torch.float32
    for _, tensor in scored:
        wide = torch.promote_types(wide, tensor.dtype)
    return recipe(
        "unit_energies",
        *(tensor for _, tensor in scored),
        shape=(part.count,),
        dtype=wide,
        count=part.count,
        dims=tuple(cut.dim for cut, _ in scored),
        sections=tuple(number for cut, _ in scored for number in flat(cut.sections)),
        lengths=tuple(len(cut.sections) for cut, _ in scored),
    )
