"""SLERP: on the great arc between two models."""

from __future__ import annotations

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe, recipe_like
from surgery.merging import Here, Merging
from surgery.merging.grams import gram
from surgery.operation import operation


@operation(title="SLERP", group="merge", source="Shoemake 1985, doi:10.1145/325165.325242")
class Slerp(Merging):
    """Each tensor lies at `t` on the great arc from this model's (0) to the one parent's (1).

    Lengths are interpolated with the arc's own weights. Where |cos| of the two is over 0.9995, or one is
    zero, the arc is a straight line. Products are summed in float64.
    """

    most = 1

    t: Schedule = option(0.5, help="0 is this model, 1 the parent; a list goes over depth")

    def merged(self, here: Here) -> Lazy:
        pair = (here.base, *here.others)
        return recipe_like(
            here.base,
            "combined",
            recipe("slerp_weights", gram(*pair), shape=(2,), t=here.value(self.t), threshold=0.9995),
            *pair,
        )
