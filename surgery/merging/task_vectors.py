"""Merging by task vectors: what models learned since the base, thinned out or not, and added to it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, Reduction, recipe, recipe_like
from surgery.merging.merging import Here, Merging

Thin = Callable[[int, Lazy, float], Lazy]
"""What a parent's task vector becomes at a density between 0 and 1: by its number, it, and the density."""
Elect = Literal["none", "sum", "count"]
Rescale = Literal["none", "density", "l1"]


@dataclass(frozen=True, kw_only=True)
class TaskVectors(Merging):
    """An operation that adds Σ wᵢτᵢ to this model, the base: τᵢ = θᵢ − θ₀ of each parent, thinned or not."""

    weights: tuple[Schedule, ...] = option(
        (), help="one per parent, or one for all; 1 if empty, and negative to unlearn"
    )
    scale: Schedule = option(1.0, help="the factor of the whole addition, λ")

    @abstractmethod
    def merged(self, here: Here) -> Lazy: ...

    def _thinned(
        self, here: Here, densities: tuple[Schedule, ...], thin: Thin, *, same_sum: bool
    ) -> list[Lazy]:
        """Each task vector after `thin`, whole at density 1, nothing at 0.

        With `same_sum`, each has the sum of magnitudes that it had before.
        """
        made: list[Lazy] = []
        shares = here.values(densities, len(here.others), 1.0)
        for number, (vector, density) in enumerate(zip(here.vectors(), shares, strict=True)):
            if density >= 1 or not vector.count:
                kept = vector
            elif density <= 0:
                kept = nothing(vector)
            else:
                kept = thin(number, vector, density)
            made.append(as_before(vector, kept) if same_sum else kept)
        return made

    def _added(self, here: Here, vectors: list[Lazy], elect: Elect, normalize: bool) -> Lazy:
        return recipe(
            "added",
            here.base,
            *vectors,
            weights=here.values(self.weights, len(vectors), 1.0),
            scale=here.value(self.scale),
            elect=elect,
            normalize=normalize,
        )


def at_ranks(vector: Lazy, ranks: tuple[int, ...]) -> Reduction:
    """The magnitudes of a tensor at these ranks, counted from 1, the smallest."""
    return Reduction(
        function="magnitudes_at",
        inputs=(vector,),
        shape=(len(ranks),),
        dtype=torch.float64,
        arguments={"ranks": ranks, "bits": 64 if vector.dtype == torch.float64 else 32},
    )


def nothing(vector: Lazy) -> Lazy:
    """Zeros like a vector."""
    return recipe("weighted_sum", vector, weights=(0.0,))


def as_before(vector: Lazy, thinned: Lazy) -> Lazy:
    """What was thinned out, with the sum of magnitudes that it had before."""
    if thinned is vector:
        return vector
    sums = Reduction(function="absolute_sums", inputs=(vector, thinned), shape=(2,), dtype=torch.float64)
    return recipe_like(thinned, "rescaled", sums, thinned)
