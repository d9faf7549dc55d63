"""Soup: towards the mean of other models."""

from __future__ import annotations

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe
from surgery.merging import Here, Merging
from surgery.merging.shares import shares
from surgery.operation import operation


@operation(
    title="Soup",
    group="merge",
    source="Wortsman et al. 2022, arXiv:2203.05482, and WiSE-FT, arXiv:2109.01903",
)
class Soup(Merging):
    """Each tensor is (1 − t) θ₀ + t · mean(θᵢ): interpolated from this model to the soup of the parents.

    `t` 1 is the soup itself, more than 1 goes beyond it, less than 0 away from it. `weights` are those of the
    parents in the soup, divided by their sum.
    """

    t: Schedule = option(0.5, help="0 is this model, 1 the parents' mean; a list goes over depth")
    weights: tuple[Schedule, ...] = option((), help="one per parent in the mean; equal if empty")

    def merged(self, here: Here) -> Lazy:
        t = here.value(self.t)
        mean = shares(here.values(self.weights, len(here.others), 1.0), here.path)
        weights = (1 - t, *(t * share for share in mean))
        return recipe("weighted_sum", here.base, *here.others, weights=weights)
