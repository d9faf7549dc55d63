"""The Karcher mean of several models."""

from __future__ import annotations

from surgery.errors import SurgeryError
from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe, recipe_like
from surgery.merging import Here, Merging
from surgery.merging.grams import gram
from surgery.merging.shares import shares
from surgery.operation import operation


@operation(title="Karcher mean", group="merge", source="Karcher 1977, doi:10.1002/cpa.3160300502")
class Karcher(Merging):
    """Each tensor has the direction with the least Σ wᵢ angle² to those of all models, and their mean length.

    Fields: `weights` of this model and the parents, equal if empty, divided by their sum; at most
    `iterations` steps along the sphere, until one is shorter than `tolerance` radians.
    """

    weights: tuple[Schedule, ...] = option((), help="one per model, this one first; equal if empty")
    iterations: int = option(10, help="steps at most", minimum=1, maximum=10000)
    tolerance: float = option(1e-5, help="the shortest step, in radians", minimum=0.0)

    def shares(self, count: int) -> int:
        return count + 1

    def merged(self, here: Here) -> Lazy:
        models = (here.base, *here.others)
        weights = here.values(self.weights, len(models), 1.0)
        if min(weights) < 0:
            raise SurgeryError(
                "a mean needs weights that are not negative", path=here.path, got=list(weights)
            )
        found = recipe(
            "karcher_weights",
            gram(*models),
            shape=(len(models),),
            weights=shares(weights, here.path),
            iterations=self.iterations,
            tolerance=self.tolerance,
        )
        return recipe_like(here.base, "combined", found, *models)
