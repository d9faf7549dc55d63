"""DELLA: drop elements of task vectors at random, small ones more often."""

from __future__ import annotations

from surgery.errors import SurgeryError
from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe
from surgery.merging import Here, TaskVectors
from surgery.merging.task_vectors import Elect, Rescale
from surgery.operation import operation


@operation(title="DELLA", group="merge", source="Deep et al. 2024, arXiv:2406.11617")
class Della(TaskVectors):
    """Each tensor is θ₀ + λ Σ wᵢτ̂ᵢ, where an element of τ̂ᵢ stays the more likely the larger it is in its row.

    The chances go from `densities` − `epsilons` for the smallest to `densities` + `epsilons` for the largest,
    evenly by rank. `rescale` as in DARE, by each element's own chance; `elect` and `normalize` as in TIES.
    Refused: chances outside (0, 1).
    """

    densities: tuple[Schedule, ...] = option(
        (0.5,),
        help="the mean chance to stay; one per parent, or one for all",
        minimum=0.0,
        maximum=1.0,
    )
    epsilons: tuple[Schedule, ...] = option(
        (0.15,),
        help="half the spread of the chances; one per parent, or one for all",
        minimum=0.0,
        maximum=0.5,
    )
    rescale: Rescale = option("density", help="divide by the chance, keep the sum of magnitudes, or nothing")
    elect: Elect = option("sum", help="add all, or what has the sign of the sum, or of most")
    normalize: bool = option(True, help="divide by the sum of the weights")
    seed: int = option(0, help="seed of the draws", minimum=0)

    def merged(self, here: Here) -> Lazy:
        epsilons = here.values(self.epsilons, len(here.others), 0.15)

        def dropped(number: int, vector: Lazy, density: float) -> Lazy:
            epsilon = epsilons[number]
            if density - epsilon <= 0 or density + epsilon >= 1:
                raise SurgeryError(
                    "the chances to stay leave (0, 1)",
                    path=here.path,
                    got=f"{density:g} ± {epsilon:g}",
                    hint="a smaller epsilon",
                )
            return recipe(
                "dropped_by_rank",
                vector,
                density=density,
                epsilon=epsilon,
                rescale=self.rescale == "density",
                seed=self.seed,
                path=f"{here.path}#{number}",
            )

        thinned = self._thinned(here, self.densities, dropped, same_sum=self.rescale == "l1")
        return self._added(here, thinned, self.elect, self.normalize)
