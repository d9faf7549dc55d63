"""DARE: drop elements of task vectors at random and rescale the rest."""

from __future__ import annotations

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe
from surgery.merging import Here, TaskVectors
from surgery.merging.task_vectors import Elect, Rescale, as_before
from surgery.operation import operation


@operation(title="DARE", group="merge", source="Yu et al. 2024, arXiv:2311.03099")
class Dare(TaskVectors):
    """Each tensor is θ₀ + λ Σ wᵢτ̂ᵢ, where an element of τ̂ᵢ stays with probability `densities`, or is zero.

    `rescale`: what stays is divided by the density, so that its mean is what it was (density), is given the
    sum of magnitudes that the vector had before (l1), or stays as it is (none). `elect`: all are added
    (none), or those with the elected sign, as in TIES. Draws come from (seed, path, parent): a tie gets one.
    """

    densities: tuple[Schedule, ...] = option(
        (0.5,), help="the chance of an element to stay; one per parent, or one for all", minimum=0.0
    )
    rescale: Rescale = option("density", help="divide by the density, keep the sum of magnitudes, or nothing")
    elect: Elect = option("none", help="add all, or what has the sign of the sum, or of most")
    normalize: bool = option(False, help="divide by the sum of the weights")
    seed: int = option(0, help="seed of the draws", minimum=0)

    def merged(self, here: Here) -> Lazy:
        thinned: list[Lazy] = []
        densities = here.values(self.densities, len(here.others), 1.0)
        for number, (vector, density) in enumerate(zip(here.vectors(), densities, strict=True)):
            if density >= 1:
                thinned.append(vector)
                continue
            if density <= 0:
                thinned.append(recipe("weighted_sum", vector, weights=(0.0,)))
                continue
            kept = recipe(
                "dropped",
                vector,
                density=density,
                rescale=self.rescale == "density",
                seed=self.seed,
                path=f"{here.path}#{number}",
            )
            thinned.append(as_before(vector, kept) if self.rescale == "l1" else kept)
        return self._added(here, thinned, self.elect, self.normalize)
