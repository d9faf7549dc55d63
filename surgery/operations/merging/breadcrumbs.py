"""Model Breadcrumbs: task vectors without their largest and smallest elements."""

from __future__ import annotations

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe, recipe_like
from surgery.merging import Here, TaskVectors
from surgery.merging.task_vectors import Elect, as_before, at_ranks
from surgery.operation import operation


@operation(title="Breadcrumbs", group="merge", source="Davari and Belilovsky 2023, arXiv:2312.06795")
class Breadcrumbs(TaskVectors):
    """Each tensor is θ₀ + λ Σ wᵢτ̂ᵢ, where τ̂ᵢ lacks its largest elements and its smallest.

    The largest `gammas` part goes, and as many of the smallest as leave `densities`. Where both leave less
    than that, fewer of the largest are taken away. Elements of equal magnitude at a threshold all stay.
    `elect`, `normalize`, `rescale` as in TIES.
    """

    densities: tuple[Schedule, ...] = option(
        (0.9,), help="the part of each task vector that stays; one per parent, or one for all", minimum=0.0
    )
    gammas: tuple[Schedule, ...] = option(
        (0.01,), help="the part that is too large; one per parent, or one for all", minimum=0.0
    )
    elect: Elect = option("none", help="add all, or what has the sign of the sum, or of most")
    normalize: bool = option(False, help="divide by the sum of the weights")
    rescale: bool = option(False, help="keep each task vector's sum of magnitudes")

    def merged(self, here: Here) -> Lazy:
        count = len(here.others)
        parts = zip(
            here.values(self.densities, count, 1.0), here.values(self.gammas, count, 0.01), strict=True
        )
        thinned = []
        for vector, (density, gamma) in zip(here.vectors(), parts, strict=True):
            kept = _between(vector, density, gamma)
            thinned.append(as_before(vector, kept) if self.rescale else kept)
        return self._added(here, thinned, self.elect, self.normalize)


def _between(vector: Lazy, density: float, gamma: float) -> Lazy:
    if density >= 1 or not vector.count:
        return vector
    kept = int(density * vector.count)
    if not kept:
        return recipe("weighted_sum", vector, weights=(0.0,))
    below = max(0, vector.count - kept - int(gamma * vector.count))
    return recipe_like(vector, "trimmed", at_ranks(vector, (below + 1, below + kept)), vector)
