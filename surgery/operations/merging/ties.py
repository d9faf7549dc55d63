"""TIES: trim task vectors, elect signs, add what agrees."""

from __future__ import annotations

from typing import Literal

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe_like
from surgery.merging import Here, TaskVectors
from surgery.merging.task_vectors import at_ranks
from surgery.operation import operation


@operation(title="TIES", group="merge", source="Yadav et al. 2023, arXiv:2306.01708")
class Ties(TaskVectors):
    """Each tensor is θ₀ + λ times the mean of the trimmed task vectors that have the elected sign.

    Of each task vector the `densities` part of largest magnitude stays, per tensor; elements of equal
    magnitude at the threshold all stay. The sign of an element is that of Σ wᵢτᵢ (`elect` = sum) or of most
    (count). `normalize` divides by the sum of the weights that agree. `rescale` gives what was trimmed the
    sum of magnitudes that it had before.
    """

    densities: tuple[Schedule, ...] = option(
        (0.2,),
        help="the part of each task vector that stays; one per parent, or one for all",
        minimum=0.0,
        maximum=1.0,
    )
    elect: Literal["sum", "count"] = option("sum", help="the sign of the sum, or of most")
    normalize: bool = option(True, help="divide by the weights that agree")
    rescale: bool = option(False, help="keep each task vector's sum of magnitudes")

    def merged(self, here: Here) -> Lazy:
        thinned = self._thinned(here, self.densities, _largest, same_sum=self.rescale)
        return self._added(here, thinned, self.elect, self.normalize)


def _largest(number: int, vector: Lazy, density: float) -> Lazy:
    kept = max(1, int(density * vector.count))
    return recipe_like(vector, "trimmed", at_ranks(vector, (vector.count - kept + 1,)), vector)
