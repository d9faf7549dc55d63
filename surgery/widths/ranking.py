"""The units of all layers in one order, the least important first; so many of each layer are not in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import torch
from torch import Tensor

from surgery.model import Patient
from surgery.widths.cutting import held_by
from surgery.widths.importance import By, Together
from surgery.widths.part import Part


def those_together(patient: Patient, parts: Sequence[Part]) -> list[list[Part]]:
    """The parts, those that share all their tensors in one list: their units go and stay together."""
    found: dict[object, list[Part]] = {}
    for part in parts:
        tensors = [patient.buffer(cut.path) or patient.tensor(cut.path) for cut in part.cuts]
        found.setdefault(held_by(part, tensors), []).append(part)
    return list(found.values())


def least_of(part: Part, share: float) -> int:
    """How many units must stay of a part, `share` of them at the least."""
    return min(part.count, max(part.least, 1, ceil(Fraction(repr(share)) * part.count)))


def left_of(part: Part, ratio: float) -> int:
    """How many units stay of a part that loses ⌊ratio · count⌋."""
    return max(part.count - floor(Fraction(repr(ratio)) * part.count), part.least)


def comparable(scores: Tensor, by: By) -> Tensor:
    """What can be compared over layers: slopes of one loss as they are, others over their layer's mean."""
    return scores if by in ("taylor", "fisher") else over_mean(scores)


def over_mean(scores: Tensor) -> Tensor:
    """Scores over their mean; all zero stay so."""
    mean = scores.mean()
    return scores / mean if mean > 0 else scores


@dataclass(frozen=True)
class Ranking:
    """`orders` are the units of each of `together`, the least important first by `scores` (count,).

    `rungs` are the places in `together` that lose one more unit each, in turn. What is left of a part that
    loses any is a multiple of `multiple`, if that is no less than may be.
    """

    together: tuple[tuple[Part, ...], ...]
    orders: tuple[Tensor, ...]
    scores: tuple[Tensor, ...]
    rungs: tuple[tuple[int, ...], ...]
    floor_share: float
    multiple: int = 1

    @classmethod
    def of(
        cls, together: Sequence[Together], scores: Sequence[Tensor], floor_share: float, multiple: int = 1
    ) -> Ranking:
        """All units in the order of their scores, which are comparable.

        Parts that must be left with equally many lose one each on a rung, whose score is the sum of theirs;
        of equal ones that of the first part goes first.
        """
        orders = tuple(torch.argsort(item, stable=True) for item in scores)
        alike: dict[object, list[int]] = {}
        for place, parts in enumerate(together):
            alike.setdefault(parts[0].alike or place, []).append(place)
        waiting: list[tuple[float, int, int]] = []
        groups = [tuple(places) for places in alike.values()]
        for number, places in enumerate(groups):
            gone = min(together[at][0].count - least_of(together[at][0], floor_share) for at in places)
            highest = 0.0
            for step in range(gone):
                score = sum(float(scores[at][orders[at][step]]) for at in places)
                highest = max(highest, score)  # of one part in their own order
                waiting.append((highest, number, step))
        rungs = tuple(groups[number] for _, number, _ in sorted(waiting))
        return cls(tuple(map(tuple, together)), orders, tuple(scores), rungs, floor_share, multiple)

    def left(self, gone: int) -> dict[Part, int]:
        """How many units stay in each part that loses any when `gone` rungs are."""
        less = [0] * len(self.together)
        for rung in self.rungs[:gone]:
            for place in rung:
                less[place] += 1
        left = {
            part: whole(part, part.count - count, self.floor_share, self.multiple)
            for count, parts in zip(less, self.together, strict=True)
            for part in parts
            if count
        }
        return {part: count for part, count in left.items() if count < part.count}

    def kept(self, left: dict[Part, int]) -> dict[Part, Tensor]:
        """The places that stay, (left,) int64 ascending, of each part in `left`."""
        return {
            part: order[part.count - left[part] :].sort().values
            for order, parts in zip(self.orders, self.together, strict=True)
            for part in parts
            if part in left
        }


def whole(part: Part, left: int, floor_share: float, multiple: int) -> int:
    """The multiple at or below `left`, or that above where less may not stay; at the most all units."""
    down = left - left % multiple
    return min(down if down >= least_of(part, floor_share) else down + multiple, part.count)


def alike(parts: Sequence[Part], ratio: float, floor_share: float, multiple: int = 1) -> dict[Part, int]:
    """How many units stay in each part that loses `ratio` of them, and no more than it may."""
    least = {part: max(left_of(part, ratio), least_of(part, floor_share)) for part in parts}
    left = {part: whole(part, count, floor_share, multiple) for part, count in least.items()}
    return {part: count for part, count in left.items() if count < part.count}
