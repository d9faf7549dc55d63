"""Model Stock: as far from the base as the models agree."""

from __future__ import annotations

from surgery.fields import option
from surgery.lazy import Lazy, recipe, recipe_like
from surgery.merging import Here, Merging
from surgery.merging.grams import gram
from surgery.operation import operation


@operation(title="Model Stock", group="merge", source="Jang et al. 2024, arXiv:2403.19522")
class ModelStock(Merging):
    """Each tensor is t · mean(θᵢ) + (1 − t) θ₀ with t = N cos / (1 + (N − 1) cos), this model as θ₀.

    cos is the mean cosine between the task vectors of the N parents, of the tensor, or of each row by itself
    (`filter_wise`). Identical parents give their own weights, orthogonal ones those of this model. Two
    parents or more.
    """

    least = 2

    filter_wise: bool = option(False, help="a cosine for each row of a weight")

    def merged(self, here: Here) -> Lazy:
        models = (here.base, *here.others)
        if self.filter_wise and here.base.shape:
            return recipe("stocked_rows", *models)
        weights = recipe("stock_weights", gram(*here.vectors()), shape=(len(models),))
        return recipe_like(here.base, "combined", weights, *models)
