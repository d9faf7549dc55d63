"""NuSLERP: on the great arc between two parents, or between what they learned."""

from __future__ import annotations

from typing import Literal

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe, recipe_like
from surgery.merging import Here, Merging
from surgery.merging.grams import gram
from surgery.operation import operation


@operation(title="NuSLERP", group="merge", source="Shoemake 1985, doi:10.1145/325165.325242")
class Nuslerp(Merging):
    """Each tensor lies on the great arc between two: this model and one parent, or around this one as base.

    With one parent, the arc goes from this model to the parent. With two, this model is the base, and the arc
    that between the parents' task vectors, added to it. The place is w₂ / (w₁ + w₂), one half where the sum
    is zero. `vectors`: the tensor is one vector (tensor), or its rows or columns are arcs of their own.
    """

    most = 2

    weights: tuple[Schedule, ...] = option((1.0, 1.0), help="of the two that are interpolated")
    vectors: Literal["tensor", "rows", "columns"] = option("tensor", help="what is one vector")

    def shares(self, count: int) -> int:
        return 2

    def merged(self, here: Here) -> Lazy:
        around_base = len(here.others) == 2
        pair: list[Lazy] = here.vectors() if around_base else [here.base, *here.others]
        first, second = here.values(self.weights, 2, 1.0)
        total = first + second
        t = 0.5 if abs(total) < 1e-6 else second / total
        if self.vectors != "tensor":
            made = recipe(f"slerped_{self.vectors}", *pair, t=t)
            return _on(here, made) if around_base else made
        weights = recipe("slerp_weights", gram(*pair), shape=(2,), t=t, threshold=1 - 5e-8)
        if not around_base:
            return recipe_like(here.base, "combined", weights, *pair)
        shares = recipe("around", weights, shape=(3,))
        return recipe_like(here.base, "combined", shares, here.base, *here.others)


def _on(here: Here, vector: Lazy) -> Lazy:
    return recipe_like(
        here.base, "added", here.base, vector, weights=(1.0,), scale=1.0, elect="none", normalize=False
    )
