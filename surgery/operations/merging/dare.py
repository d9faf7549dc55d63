"""DARE: drop elements of task vectors at random and rescale the rest."""

from __future__ import annotations

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe
from surgery.merging import Here, TaskVectors
from surgery.merging.task_vectors import Elect, Rescale
from surgery.operation import operation


@operation(title="DARE", group="merge", source="Yu et al. 2024, arXiv:2311.03099")
class Dare(TaskVectors):
    """Each tensor is θ₀ + λ Σ wᵢτ̂ᵢ, where an element of τ̂ᵢ stays with probability `densities`, or is zero.

    `rescale`: what stays is divided by the density, so that its mean is what it was (density), is given the
    sum of magnitudes that the vector had before (l1), or stays as it is (none). `elect`: all are added
    (none), or those with the elected sign, as in TIES. Draws come from (seed, path, parent): a tie gets one.
    """

    densities: tuple[Schedule, ...] = option(
        (0.5,),
        help="the chance of an element to stay; one per parent, or one for all",
        minimum=0.0,
        maximum=1.0,
    )
    rescale: Rescale = option("density", help="divide by the density, keep the sum of magnitudes, or nothing")
    elect: Elect = option("none", help="add all, or what has the sign of the sum, or of most")
    normalize: bool = option(False, help="divide by the sum of the weights")
    seed: int = option(0, help="seed of the draws", minimum=0)

    def merged(self, here: Here) -> Lazy:
        def dropped(number: int, vector: Lazy, density: float) -> Lazy:
            return recipe(
                "dropped",
                vector,
                density=density,
                rescale=self.rescale == "density",
                seed=self.seed,
                path=f"{here.path}#{number}",
            )

        thinned = self._thinned(here, self.densities, dropped, same_sum=self.rescale == "l1")
        return self._added(here, thinned, self.elect, self.normalize)
