"""The ranks of layers under a size, and the size as a budget of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

import torch

from surgery.errors import SurgeryError
from surgery.factors.budgeting import least_distortion
from surgery.factors.distortion import tried_ranks
from surgery.factors.layers import Layer
from surgery.factors.spreading import least, ranks_of_size


def budget_of(layers: Sequence[Layer], size: float, select: str) -> int:
    """How many parameters may be left; SurgeryError where rank 1 everywhere has more."""
    sides = [layer.sides for layer in layers]
    whole = sum(item.whole for item in sides)
    budget = floor(Fraction(repr(size)) * whole)  # as it is written, not the binary number
    if budget < least(sides):
        raise SurgeryError(
            "the targets need more than that at rank 1 each",
            path=select,
            got=f"size {size:g}",
            expected=f"at least {ceil(1000 * least(sides) / whole) / 1000:g}",
        )
    return budget


def by_energy(
    layers: Sequence[Layer], energies: Sequence[torch.Tensor], budget: int, *, relative: bool
) -> list[int]:
    """The ranks that keep the most energy for their parameters; as part of their layer's if `relative`."""
    if relative:
        tiny = torch.finfo(torch.float64).tiny
        energies = [energy / energy.sum().clamp(min=tiny) for energy in energies]
    return ranks_of_size([layer.sides for layer in layers], energies, budget)


def by_distortion(
    layers: Sequence[Layer], lost: Sequence[Sequence[float]], budget: int, size: float, select: str
) -> list[int]:
    """The ranks of least distortion in sum, of those that were tried; `lost` is what `distortions` gives."""
    choices = [[*tried_ranks(layer), layer.sides.most + 1] for layer in layers]
    costs = [
        [layer.sides.parameters(rank) for rank in ranks] for layer, ranks in zip(layers, choices, strict=True)
    ]
    chosen = least_distortion(costs, [[*row, 0.0] for row in lost], budget)
    if chosen is None:
        raise SurgeryError(
            "the ranks that are tried are all larger than that",
            path=select,
            got=f"size {size:g}",
            hint='a larger one, or `spread="relative"`',
        )
    return [ranks[place] for ranks, place in zip(choices, chosen, strict=True)]
