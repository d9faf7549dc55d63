"""NearSwap: take the other's values where they are near."""

from __future__ import annotations

from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe
from surgery.merging import Here, Merging
from surgery.operation import operation


@operation(title="NearSwap", group="merge", source="alchemonaut 2024, QuartetAnemoi-70B-t0.0001")
class Nearswap(Merging):
    """Each element moves to the one parent's by the share min(1, t / |difference|): near ones wholly."""

    most = 1

    t: Schedule = option(0.0001, help="the difference up to which an element is the parent's", minimum=0.0)

    def merged(self, here: Here) -> Lazy:
        return recipe("swapped_near", here.base, *here.others, t=here.value(self.t))
