"""The order in which another model's units are most like this one's, by their weights.

With tensors A of this model and B of the other, and B in the order P of every group, Σ ⟨A, P(B)⟩ over all
tensors is what shall be large (Ainsworth et al. 2023, arXiv:2209.04836). For one group, the others as they
are, the best order is a linear assignment; groups take turns until none gains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import torch

from surgery.alignment.assignment import assigned
from surgery.alignment.units import Units
from surgery.recipes import one_thread
from surgery.widths.part import Cut

Orders = dict[str, torch.Tensor]
"""By the name of a group, where each of its places comes from: (count,) int64."""


@dataclass(frozen=True)
class Pair:
    """A tensor of this model, that of the other, and the groups that lie in them with their cuts."""

    mine: torch.Tensor
    theirs: torch.Tensor
    axes: tuple[tuple[Units, Cut], ...]


def pair(mine: torch.Tensor, theirs: torch.Tensor, groups: Sequence[Units], paths: Sequence[str]) -> Pair:
    """A pair of the tensor at these paths, with the groups that lie in it, each way once."""
    axes = {
        (group, cut.dim, cut.sections): (group, cut)
        for group in groups
        for cut in group.cuts
        if cut.path in paths
    }
    return Pair(mine, theirs, tuple(axes.values()))


@dataclass(frozen=True)
class Match:
    """The orders that were found, and what each accepted turn brought the sum to, from the start on."""

    orders: Orders
    climb: tuple[float, ...]


def match(
    groups: Sequence[Units], pairs: Sequence[Pair], seed: int, given: Mapping[str, torch.Tensor] | None = None
) -> Match:
    """The better of two climbs: from the order of now, and from units with alike values whatever their order.

    `seed` draws whose turn it is. The sum never falls. For groups with `given` gains, (count, count), these
    count instead, and weights only among units that they do not tell apart.
    """
    free = [group for group in groups if group.name not in (given or {})]
    with torch.no_grad(), one_thread():
        fixed = {}
        for group in groups:
            if given and group.name in given:
                by_values = _gains_by_values(group, pairs)
                fixed[group.name] = assigned(given[group.name] + 1e-6 * by_values / by_values.abs().max())
        by_values_too = {group.name: assigned(_gains_by_values(group, pairs)) for group in free}
        starts = [start | fixed for start in (as_they_are(groups), by_values_too)]
        return max((_climbed(free, pairs, start, seed) for start in starts), key=lambda each: each.climb[-1])


def as_they_are(groups: Sequence[Units]) -> Orders:
    """Nothing moved."""
    return {group.name: torch.arange(group.count) for group in groups}


def objective(pairs: Sequence[Pair], orders: Mapping[str, torch.Tensor]) -> float:
    """Σ ⟨A, P(B)⟩ in float64."""
    return sum(float((item.mine.double() * _moved(item, orders)).sum()) for item in pairs)


def likeness(group: Units, pairs: Sequence[Pair], orders: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The cosine of each unit of this model with the one in its place: (count,)."""
    dots, mine, theirs = (torch.zeros(group.count, dtype=torch.float64) for _ in range(3))
    for item in pairs:
        moved = None
        for other, cut in item.axes:
            if other is group:
                moved = _moved(item, orders) if moved is None else moved
                a, b = rows(item.mine, cut, group.count), rows(moved, cut, group.count)
                dots, mine, theirs = dots + (a * b).sum(1), mine + (a * a).sum(1), theirs + (b * b).sum(1)
    return dots / (mine * theirs).sqrt().clamp(min=1e-300)


def rows(tensor: torch.Tensor, cut: Cut, count: int) -> torch.Tensor:
    """What belongs to each unit at a cut: (count, entries) float64."""
    ahead = tensor.movedim(cut.dim, 0)
    pieces = [ahead[start : start + count * size].reshape(count, -1) for start, size in cut.sections]
    return torch.cat(pieces, 1).double()


def _climbed(groups: Sequence[Units], pairs: Sequence[Pair], start: Orders, seed: int) -> Match:
    within = {group: [item for item in pairs if any(at is group for at, _ in item.axes)] for group in groups}
    least = {group: 1e-12 * sum(_most(item) for item in within[group]) for group in groups}
    orders, climb, chance = dict(start), [objective(pairs, start)], Random(seed)
    gained = True
    while gained:
        gained = False
        for group in chance.sample(list(groups), len(groups)):
            here = within[group]
            turn = orders | {group.name: assigned(_gains(group, here, orders))}
            gain = objective(here, turn) - objective(here, orders)
            if gain > least[group]:  # of a group that meets itself it may be a loss
                orders, gained = turn, True
                climb.append(climb[-1] + gain)
    return Match(orders, tuple(climb))


def _most(item: Pair) -> float:
    """What ⟨A, P(B)⟩ is at the most; its rounding is small beside that."""
    return float(item.mine.double().norm() * item.theirs.double().norm())


def _gains(group: Units, pairs: Sequence[Pair], orders: Orders) -> torch.Tensor:
    """What unit j of the other model brings in place i, the other groups as they are: (count, count)."""
    total = torch.zeros(group.count, group.count, dtype=torch.float64)
    for item in pairs:
        for axis in item.axes:
            if axis[0] is group:
                mine = rows(item.mine, axis[1], group.count)
                total += mine @ rows(_moved(item, orders, but=axis), axis[1], group.count).T
    return total


def _gains_by_values(group: Units, pairs: Sequence[Pair]) -> torch.Tensor:
    """The same of the units' sorted values, which no other group's order changes: (count, count)."""
    total = torch.zeros(group.count, group.count, dtype=torch.float64)
    for item in pairs:
        for other, cut in item.axes:
            if other is group:
                mine, theirs = (rows(each, cut, group.count) for each in (item.mine, item.theirs))
                total += mine.sort(1).values @ theirs.sort(1).values.T
    return total


def _moved(
    item: Pair, orders: Mapping[str, torch.Tensor], but: tuple[Units, Cut] | None = None
) -> torch.Tensor:
    """The other model's tensor in these orders, along all axes but one: float64."""
    tensor = item.theirs.double()
    for axis in item.axes:
        if axis is not but:
            tensor = tensor.index_select(axis[1].dim, _places(axis[1], orders[axis[0].name], tensor.shape))
    return tensor


def _places(cut: Cut, order: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    places = torch.arange(shape[cut.dim])
    for start, size in cut.sections:
        inside = places[start : start + len(order) * size].view(len(order), size)
        places[start : start + len(order) * size] = inside[order].flatten()
    return places
