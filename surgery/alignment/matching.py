"""The order, or plan of transport, by which another model's units are most like this one's, by their weights.

With tensors A of this model and B of the other, and B brought to this model's units by the plan P of every
group, Σ ⟨A, P(B)⟩ over all tensors is what shall be large (Ainsworth et al. 2023, arXiv:2209.04836). For one
group, the others as they are, the best order is a linear assignment, and the best plan between unequal widths
optimal transport with squared distances for costs: with uniform marginals only their cross terms count
(Singh and Jaggi 2020, arXiv:1910.05653). Groups take turns until none gains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from random import Random

import torch

from surgery.alignment.assignment import assigned
from surgery.alignment.counterpart import Along, Counterpart, Meeting, numbers
from surgery.alignment.transport import Solve, in_place
from surgery.alignment.units import Units
from surgery.functions.transport import carried, layout
from surgery.recipes import one_thread
from surgery.widths.part import Cut

Plans = dict[str, torch.Tensor]
"""By the name of a group, where each of its places comes from: see `surgery.functions.transport`."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A tensor of this model, that of the other, and the groups that lie in them."""

    mine: torch.Tensor
    theirs: torch.Tensor
    along: Along

    def of(self, group: Units) -> Iterator[tuple[int, Meeting]]:
        """Where a group lies: dimension and meeting."""
        for dim, meetings in self.along.items():
            yield from ((dim, meeting) for meeting in meetings if meeting.group is group)

    @property
    def groups(self) -> list[Units]:
        """All that lie in them, each as often as it does."""
        return [meeting.group for meetings in self.along.values() for meeting in meetings]


@dataclass(frozen=True)
class Match:
    """The plans that were found, and what each accepted turn brought the sum to, from the start on."""

    plans: Plans
    climb: tuple[float, ...]


def match(
    other: Counterpart,
    pairs: Sequence[Pair],
    seed: int,
    given: Mapping[str, torch.Tensor] | None = None,
    solve: Solve = assigned,
) -> Match:
    """The best of climbs: from the order of now, from units with alike values, and, of plans, layer by layer.

    `seed` draws whose turn it is. The sum never falls. For groups with `given` gains, (units here, units
    there), these count instead, and weights only among units that they do not tell apart.
    """
    groups, given = other.groups, given or {}
    free = [group for group in groups if group.name not in given]
    with torch.no_grad(), one_thread():
        fixed = {
            group.name: solve(_given(group, other, pairs, given)) for group in groups if group.name in given
        }
        by_values = {group.name: solve(_gains_by_values(group, other, pairs)) for group in free}
        starts = [as_they_are(other) | fixed, by_values | fixed]
        if solve is not assigned:
            starts.append(_layer_by_layer(free, other, pairs, fixed, solve))
        return max((_climbed(free, other, pairs, start, seed, solve) for start in starts), key=_height)


def solved_again(
    other: Counterpart,
    pairs: Sequence[Pair],
    plans: Plans,
    given: Mapping[str, torch.Tensor] | None,
    solve: Solve,
) -> Plans:
    """The plan of each group by another solver, the other groups as they were found."""
    given = given or {}
    with torch.no_grad(), one_thread():
        return {
            group.name: solve(
                _given(group, other, pairs, given)
                if group.name in given
                else _gains(group, other, pairs, plans)
            )
            for group in other.groups
        }


def as_they_are(other: Counterpart) -> Plans:
    """Nothing moved; of unequal widths each part of one is at the same part of the other."""
    return {group.name: in_place(group.count, other.counts[group.name]) for group in other.groups}


def objective(pairs: Sequence[Pair], plans: Mapping[str, torch.Tensor]) -> float:
    """Σ ⟨A, P(B)⟩ in float64."""
    return sum(float((item.mine.double() * _moved(item, plans)).sum()) for item in pairs)


def likeness(group: Units, pairs: Sequence[Pair], plans: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The cosine of each unit of this model with what is in its place: (count,)."""
    dots, mine, theirs = (torch.zeros(group.count, dtype=torch.float64) for _ in range(3))
    for item in pairs:
        moved = None
        for _, meeting in item.of(group):
            moved = _moved(item, plans) if moved is None else moved
            a, b = (rows(each, meeting.mine, group.count) for each in (item.mine, moved))
            dots, mine, theirs = dots + (a * b).sum(1), mine + (a * a).sum(1), theirs + (b * b).sum(1)
    return dots / (mine * theirs).sqrt().clamp(min=1e-300)


def rows(tensor: torch.Tensor, cut: Cut, count: int) -> torch.Tensor:
    """What belongs to each unit at a cut: (count, entries) float64."""
    ahead = tensor.movedim(cut.dim, 0)
    pieces = [ahead[start : start + count * size].reshape(count, -1) for start, size in cut.sections]
    return torch.cat(pieces, 1).double()


def _climbed(
    groups: Sequence[Units], other: Counterpart, pairs: Sequence[Pair], start: Plans, seed: int, solve: Solve
) -> Match:
    within = {group: [item for item in pairs if group in item.groups] for group in groups}
    least = {group: 1e-12 * sum(_most(item) for item in within[group]) for group in groups}
    plans, climb, chance = dict(start), [objective(pairs, start)], Random(seed)
    gained = True
    while gained:
        gained = False
        for group in chance.sample(list(groups), len(groups)):
            here = within[group]
            turn = plans | {group.name: solve(_gains(group, other, here, plans))}
            gain = objective(here, turn) - objective(here, plans)
            if gain > least[group]:  # of a group that meets itself it may be a loss
                plans, gained = turn, True
                climb.append(climb[-1] + gain)
    return Match(plans, tuple(climb))


def _height(found: Match) -> float:
    return found.climb[-1]


def _most(item: Pair) -> float:
    """What ⟨A, P(B)⟩ is at the most; its rounding is small beside that."""
    return float(item.mine.double().norm() * item.theirs.double().norm())


def _layer_by_layer(
    groups: Sequence[Units], other: Counterpart, pairs: Sequence[Pair], fixed: Plans, solve: Solve
) -> Plans:
    """Each group in the order of the tree by what only groups before it lie in, else by alike values."""
    plans = dict(fixed)
    for group in groups:
        known = [
            item
            for item in pairs
            if item.groups.count(group) == 1
            and all(each is group or each.name in plans for each in item.groups)
        ]
        gains = _gains(group, other, known, plans) if known else _gains_by_values(group, other, pairs)
        plans[group.name] = solve(gains)
    return plans


def _given(
    group: Units, other: Counterpart, pairs: Sequence[Pair], given: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    by_values = _gains_by_values(group, other, pairs)
    return given[group.name] + 1e-6 * by_values / by_values.abs().max()


def _gains(group: Units, other: Counterpart, pairs: Sequence[Pair], plans: Plans) -> torch.Tensor:
    """What unit j of the other model brings in place i, the other groups as they are: (count, theirs)."""
    total = torch.zeros(group.count, other.counts[group.name], dtype=torch.float64)
    for item in pairs:
        for dim, meeting in item.of(group):
            mine = rows(item.mine, meeting.mine, group.count)
            theirs = rows(_moved(item, plans, but=dim), meeting.theirs, meeting.count)
            total += meeting.factor * (mine @ theirs.T)
    return total


def _gains_by_values(group: Units, other: Counterpart, pairs: Sequence[Pair]) -> torch.Tensor:
    """The same of the units' sorted values, which no other group's order changes: (count, theirs)."""
    total = torch.zeros(group.count, other.counts[group.name], dtype=torch.float64)
    for item in pairs:
        factor = prod(meeting.factor for meetings in item.along.values() for meeting in meetings)
        for _, meeting in item.of(group):
            mine = rows(item.mine, meeting.mine, group.count).sort(1).values
            theirs = rows(item.theirs, meeting.theirs, meeting.count).sort(1).values
            total += factor * (mine @ _as_many(theirs, mine.shape[1]).T)
    return total


def _as_many(ascending: torch.Tensor, count: int) -> torch.Tensor:
    """Rows of as many values as there shall be, each the mean of its part of the given ones."""
    given = ascending.shape[1]
    if given == count:
        return ascending
    sums = torch.nn.functional.pad(ascending.cumsum(1), (1, 0))
    edges = torch.arange(count + 1, dtype=torch.float64) * given / count
    below = edges.floor().long().clamp(max=given - 1)
    reached = sums[:, below] + (edges - below) * ascending[:, below]
    return reached.diff(dim=1) * (count / given)


def _moved(item: Pair, plans: Mapping[str, torch.Tensor], but: int | None = None) -> torch.Tensor:
    """The other model's tensor by these plans, along all dimensions but one: float64."""
    tensor = item.theirs.double()
    for dim, meetings in item.along.items():
        if dim != but:
            tensor = _carried(tensor, dim, meetings, plans)
    return tensor


def _carried(
    tensor: torch.Tensor, dim: int, meetings: Sequence[Meeting], plans: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    here = [plans[meeting.group.name] for meeting in meetings]
    if any(plan.dim() > 1 for plan in here):
        return carried(tensor, layout(tensor.shape[dim], tuple(here), **numbers(meetings)), dim)
    for meeting, order in zip(meetings, here, strict=True):
        tensor = tensor.index_select(dim, _places(meeting.mine, order, tensor.shape))
    return tensor


def _places(cut: Cut, order: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    places = torch.arange(shape[cut.dim])
    for start, size in cut.sections:
        inside = places[start : start + len(order) * size].view(len(order), size)
        places[start : start + len(order) * size] = inside[order].flatten()
    return places
