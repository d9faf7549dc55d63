"""Ranks of many layers: by the part of the energy that each keeps, or under one budget for all.

A rank costs a layer of m outputs and n inputs m + n parameters, but never more than the m n that it has
whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sides:
    """Outputs and inputs of a layer, and what its ranks come to."""

    outputs: int
    inputs: int

    @property
    def per_rank(self) -> int:
        """Parameters of one rank."""
        return self.outputs + self.inputs

    @property
    def whole(self) -> int:
        """Parameters of the layer as it is."""
        return self.outputs * self.inputs

    @property
    def most(self) -> int:
        """The largest rank at which two thin ones are smaller than the layer; 0 where there is none."""
        return (self.whole - 1) // self.per_rank

    def parameters(self, rank: int) -> int:
        """Parameters at a rank: those of two thin ones, or of the layer whole where that is no more."""
        return min(self.whole, rank * self.per_rank)


def ranks_of_energy(energies: Sequence[torch.Tensor], part: float) -> list[int]:
    """The least rank of each layer that keeps this part of its Σσ², at least 1."""
    found = []
    for energy in energies:
        kept = energy.cumsum(0)
        found.append(min(len(energy), int((kept < part * kept[-1]).sum()) + 1))
    return found


def ranks_of_size(layers: Sequence[Sides], energies: Sequence[torch.Tensor], budget: int) -> list[int]:
    """The ranks under a budget of parameters that keep the most energy per parameter, each at least 1.

    One list of all energies / (m + n), largest first, of equal ones those of the first layer: each is kept
    while it fits, and a layer is closed with the first that does not. What is kept is then the part of the
    list above one threshold but for the last few, so that the sum of the energies left out, which for σ² is
    that of squared errors, is the least there is for this number of parameters where all layers have the same
    m + n. A layer whose ranks cost what it has whole gets the others for nothing.
    """
    ranks = [1 for _ in layers]
    spent = sum(layer.parameters(1) for layer in layers)
    wanted = [
        (-float(energy) / layer.per_rank, place, rank)
        for place, (layer, spectrum) in enumerate(zip(layers, energies, strict=True))
        for rank, energy in enumerate(spectrum.tolist()[1:], start=2)
        if energy > 0
    ]
    closed: set[int] = set()
    for _, place, rank in sorted(wanted):
        if place in closed:
            continue
        layer = layers[place]
        more = layer.parameters(rank) - layer.parameters(rank - 1)
        if spent + more > budget:
            closed.add(place)
        else:
            ranks[place], spent = rank, spent + more
    return ranks


def least(layers: Sequence[Sides]) -> int:
    """The smallest budget there is: every layer at rank 1."""
    return sum(layer.parameters(1) for layer in layers)
