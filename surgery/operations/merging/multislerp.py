"""Multi-SLERP: the mean direction of several models, at their mean length."""

from __future__ import annotations

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe, recipe_like
from surgery.merging import Here, Merging
from surgery.merging.grams import gram
from surgery.merging.shares import shares
from surgery.operation import operation


@operation(title="Multi-SLERP", group="merge", source="Goddard 2025, mergekit's multislerp")
class Multislerp(Merging):
    """Each tensor has the direction of Σ wᵢθᵢ/|θᵢ| and the length Σ wᵢ|θᵢ|, over this model and the parents.

    `around`: this model is the base instead, and the vectors are the parents' task vectors, added to it.
    `normalize` divides the weights by their sum. Where the directions cancel, the sum is a straight one.
    """

    weights: tuple[Schedule, ...] = option((), help="one per model, this one first; per parent if `around`")
    around: bool = option(False, help="this model is the base, the parents' task vectors are merged")
    normalize: bool = option(True, help="divide the weights by their sum")

    def shares(self, count: int) -> int:
        return count if self.around else count + 1

    def merged(self, here: Here) -> Lazy:
        vectors: list[Lazy] = here.vectors() if self.around else [here.base, *here.others]
        weights = here.values(self.weights, len(vectors), 1.0)
        weights = shares(weights, here.path) if self.normalize else weights
        found = recipe("multislerp_weights", gram(*vectors), shape=(len(vectors),), weights=weights)
        if not self.around:
            return recipe_like(here.base, "combined", found, *vectors)
        moved = recipe("around", found, shape=(1 + len(vectors),))
        return recipe_like(here.base, "combined", moved, here.base, *here.others)
