"""A parent's tensors in this model's units, as lazy tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from surgery.alignment.counterpart import Counterpart, Meeting, numbers
from surgery.alignment.reordering import taken
from surgery.lazy import Lazy, recipe
from surgery.merging.merging import Put


class Carrying(Put):
    """A parent's tensors in this model's units, by the plan of each group; see `surgery.functions.transport`.

    What only changes places keeps its dtype, all else is in float64 then. `sizes`: along their units a
    parent's tensors may be wider or narrower.
    """

    def __init__(self, other: Counterpart, plans: Mapping[str, Lazy], *, sizes: bool) -> None:
        self.other, self.plans, self.sizes = other, plans, sizes

    def free(self, places: Sequence[str]) -> tuple[int, ...]:
        return tuple(self.other.meet(places)) if self.sizes else ()

    def __call__(self, places: Sequence[str], tensor: Lazy) -> Lazy:
        for dim, meetings in self.other.meet(places).items():
            tensor = self._along(tensor, dim, meetings)
        return tensor

    def _along(self, tensor: Lazy, dim: int, meetings: Sequence[Meeting]) -> Lazy:
        plans = [self.plans[meeting.group.name] for meeting in meetings]
        if all(len(plan.shape) == 1 for plan in plans):
            for meeting, order in zip(meetings, plans, strict=True):
                tensor = taken(tensor, order, meeting.count, meeting.mine)
            return tensor
        own = sum(
            (each.group.count - each.count) * sum(s for _, s in each.mine.sections) for each in meetings
        )
        shape = [*tensor.shape[:dim], tensor.shape[dim] + own, *tensor.shape[dim + 1 :]]
        return recipe(
            "carry_units",
            tensor,
            *plans,
            shape=tuple(shape),
            dtype=torch.float64,
            dim=dim,
            **numbers(meetings),
        )
