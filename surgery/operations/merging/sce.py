"""SCE: select by variance, calculate weights, erase minority signs."""

from __future__ import annotations

import torch

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, Reduction, recipe_like
from surgery.merging import Here, Merging
from surgery.merging.grams import gram
from surgery.operation import operation


@operation(title="SCE", group="merge", source="Wan et al. 2024, arXiv:2408.07990")
class Sce(Merging):
    """Each tensor is θ₀ + Σ wᵢτᵢ / Σ wᵢ over the task vectors of the sign of their sum, element by element.

    wᵢ is the part that τᵢ has in the sum of squares. Before, only the `density` part of the elements with the
    largest variance over the parents is kept, of those where they differ; with one parent, or 1, all.
    """

    density: Schedule = option(1.0, help="the part of the elements that is kept", minimum=0.0, maximum=1.0)

    def merged(self, here: Here) -> Lazy:
        vectors, density = here.vectors(), here.value(self.density)
        if density < 1:
            bits = 64 if any(vector.dtype == torch.float64 for vector in vectors) else 32
            threshold = Reduction(
                function="variance_at",
                inputs=tuple(vectors),
                shape=(1,),
                dtype=torch.float64,
                arguments={"density": density, "bits": bits},
            )
            vectors = [
                recipe_like(vectors[index], "where_varied", threshold, *vectors, index=index)
                for index in range(len(vectors))
            ]
        return recipe_like(here.base, "shared_out", gram(*vectors), here.base, *vectors)
