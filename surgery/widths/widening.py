"""Widening parts by copies of their units, between which what reads them is shared out."""

from __future__ import annotations

import torch

from surgery.lazy import Lazy, recipe
from surgery.model import Patient
from surgery.widths.cutting import held_by
from surgery.widths.part import Cut, Part
from surgery.widths.resizing import Resizing, flat, node_of


class Widening(Resizing):
    """Each part has as many units as `left` says: its own, and behind them copies drawn by the seed."""

    done = "widened"

    def __init__(self, patient: Patient, left: dict[Part, int], seed: int) -> None:
        super().__init__(patient, left)
        self.seed = seed
        self.drawn: dict[tuple[tuple[int, Cut], ...], Lazy] = {}
        self.indices = {part: self._index(part) for part in left}
        self.made: dict[tuple[int, int, int, tuple[int, ...]], Lazy] = {}

    def resized(self, tensor: Lazy, part: Part, cut: Cut, shape: tuple[int, ...]) -> Lazy:
        index, sections = self.indices[part], flat(cut.sections)
        key = (node_of(tensor), id(index), cut.dim, sections)
        if key not in self.made:
            reads = cut.path == part.cuts[-1].path  # what leads out of neurons comes last
            self.made[key] = recipe(
                "shared_units" if reads else "take_units",
                tensor,
                index,
                shape=shape,
                count=part.count,
                dim=cut.dim,
                sections=sections,
            )
        return self.made[key]

    def _index(self, part: Part) -> Lazy:
        """Which unit each of the units is a copy of, the same for parts that share all their tensors."""
        key = held_by(part, [self.tensor(cut.path) for cut in part.cuts])
        if key not in self.drawn:
            self.drawn[key] = recipe(
                "drawn_copies",
                shape=(self.left[part],),
                dtype=torch.int64,
                count=part.count,
                seed=self.seed,
                path=part.path,
            )
        return self.drawn[key]
