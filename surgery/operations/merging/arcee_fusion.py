"""Arcee Fusion: take the other's values where they matter most."""

from __future__ import annotations

from surgery.lazy import Lazy, recipe, recipe_like
from surgery.merging import Here, Merging
from surgery.merging.task_vectors import at_ranks
from surgery.operation import operation


@operation(title="Arcee Fusion", group="merge", source="Arcee AI 2025, mergekit's arcee_fusion")
class ArceeFusion(Merging):
    """Each element is the one parent's where it is important, else this model's.

    Importance is |θ₁ − θ₀| times the KL divergence between the softmax of the parent's row and of this one's.
    Important is what reaches the median + 1.5 times the distance of the quartiles, over the tensor; quartiles
    are exact, at ranks ⌊q (n − 1)⌋ from 0.
    """

    most = 1

    def merged(self, here: Here) -> Lazy:
        other, last = here.others[0], here.base.count - 1
        if last < 0 or not here.base.shape:
            return recipe("copy", here.base)
        dtype = here.vectors()[0].dtype
        scores = recipe("importance", other, here.base, dtype=dtype)
        quartiles = at_ranks(scores, tuple(1 + int(part * last) for part in (0.25, 0.5, 0.75)))
        return recipe_like(here.base, "fused", quartiles, scores, here.base, other)
