"""Tie cut: where a tie should fall in two, by what its ends want of their shared weights."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from surgery.advise.advice import Advice, Item
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.advise.gradients.gradient_agreement import chosen_ties
from surgery.advise.gradients.tied import site_gradients
from surgery.cosines import cosines
from surgery.precision import wide


@adviser(
    title="Tie cut",
    source="original; gradients compared after Yu et al. 2020 (PCGrad), arXiv:2001.06782",
    reads="gradients",
    cost="one forward and one backward pass over the examples",
    edit="untie",
    together=True,
)
class TieCut(Adviser):
    """The mean cosine of the loss's gradients between the two sides into which each tie falls most easily.

    The sides are a minimum cut between the two ends that agree least, where ends hold together by the cosine
    of their gradients as far as it is above 0. Named is the side without the first end: untied together it
    shares with itself, apart from the others, at no loss. Below 0 the two pull against one another.
    """

    def score(self, case: Case) -> Advice:
        found = chosen_ties(case)
        items, numbers = [], []
        for group, gradients in zip(found, site_gradients(case, found), strict=True):
            table = agreement(gradients)
            side = cut(table)
            others = [place for place in range(len(group.ends)) if place not in side]
            ends = [group.ends[place] for place in side]
            items.append(Item(ends[0], None, tuple(ends[1:])))
            numbers.append(float(table[side][:, others].nanmean()))
        return case.advice(self, items, numbers)


def agreement(gradients: tuple[Tensor, ...]) -> Tensor:
    """The cosine of each two, (ends, ends) float64; NaN where one is zero, and for each with itself."""
    table = torch.full((len(gradients), len(gradients)), torch.nan, dtype=torch.float64)
    for one, other in combinations(range(len(gradients)), 2):
        if bool(gradients[one].any()) and bool(gradients[other].any()):
            cosine = float(cosines(wide(gradients[one])[None], wide(gradients[other])[None]))
            table[one, other] = table[other, one] = cosine
    return table


def cut(table: Tensor) -> list[int]:
    """The side without the first end of the minimum cut between the two ends that agree least."""
    count = len(table)
    import networkx as nx  # a fifth of a second, which replays need not wait

    flow = nx.Graph()
    flow.add_nodes_from(range(count))
    for one, other in combinations(range(count), 2):
        cosine = float(table[one, other])
        flow.add_edge(one, other, capacity=max(0.0, cosine) if cosine == cosine else 0.0)
    least = int(table.nan_to_num(torch.inf).argmin())
    first, last = divmod(least, count)
    if first == last:  # nothing is known of any two
        first, last = 0, count - 1
    _, (near, far) = nx.minimum_cut(flow, first, last)
    return sorted(far if 0 in near else near)
