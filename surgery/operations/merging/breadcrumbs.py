"""Model Breadcrumbs: task vectors without their largest and smallest elements."""

from __future__ import annotations

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe_like
from surgery.merging import Here, TaskVectors
from surgery.merging.task_vectors import Elect, at_ranks, nothing
from surgery.operation import operation


@operation(title="Breadcrumbs", group="merge", source="Davari and Belilovsky 2023, arXiv:2312.06795")
class Breadcrumbs(TaskVectors):
    """Each tensor is θ₀ + λ Σ wᵢτ̂ᵢ, where τ̂ᵢ lacks its largest elements and its smallest.

    The largest `gammas` part goes, and as many of the smallest as leave `densities`. Where both leave less
    than that, fewer of the largest are taken away. Elements of equal magnitude at a threshold all stay.
    `elect`, `normalize`, `rescale` as in TIES.
    """

    densities: tuple[Schedule, ...] = option(
        (0.9,),
        help="the part of each task vector that stays; one per parent, or one for all",
        minimum=0.0,
        maximum=1.0,
    )
    gammas: tuple[Schedule, ...] = option(
        (0.01,),
        help="the part that is too large; one per parent, or one for all",
        minimum=0.0,
        maximum=1.0,
    )
    elect: Elect = option("none", help="add all, or what has the sign of the sum, or of most")
    normalize: bool = option(False, help="divide by the sum of the weights")
    rescale: bool = option(False, help="keep each task vector's sum of magnitudes")

    def merged(self, here: Here) -> Lazy:
        gammas = here.values(self.gammas, len(here.others), 0.01)

        def between(number: int, vector: Lazy, density: float) -> Lazy:
            kept = int(density * vector.count)
            if not kept:
                return nothing(vector)
            below = max(0, vector.count - kept - int(gammas[number] * vector.count))
            return recipe_like(vector, "trimmed", at_ranks(vector, (below + 1, below + kept)), vector)

        thinned = self._thinned(here, self.densities, between, same_sum=self.rescale)
        return self._added(here, thinned, self.elect, self.normalize)
