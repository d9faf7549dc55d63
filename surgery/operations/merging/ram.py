"""RAM: what one model alone learned stays whole, what several learned is averaged."""

from __future__ import annotations

import torch

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, Reduction, recipe_like
from surgery.merging import Here, Merging
from surgery.operation import operation


@operation(title="RAM", group="merge", source="Reinforced Agent Merging, arXiv:2601.13572")
class Ram(Merging):
    """Each element is θ₀ + τᵢ where one parent alone changed it, and θ₀ + the mean of τᵢ where several did.

    Changed is what differs by more than `epsilon`. With `rate` r, what a parent alone changed is multiplied
    by 1 + r · min(`limit`, shared / alone), counts of its elements in the tensor: RAM+ (tensor-local).
    """

    epsilon: float = option(1e-5, help="a difference that counts is larger", minimum=0.0)
    rate: Schedule = option(0.0, help="how much what is its own is strengthened; 0.1 in RAM+", minimum=0.0)
    limit: Schedule = option(0.2, help="the largest share that counts", minimum=0.0)

    def merged(self, here: Here) -> Lazy:
        vectors = here.vectors()
        overlaps = Reduction(
            function="overlaps",
            inputs=tuple(vectors),
            shape=(len(vectors), 2),
            dtype=torch.float64,
            arguments={"epsilon": self.epsilon},
        )
        return recipe_like(
            here.base,
            "reinforced",
            overlaps,
            here.base,
            *vectors,
            epsilon=self.epsilon,
            rate=here.value(self.rate),
            limit=here.value(self.limit),
        )
