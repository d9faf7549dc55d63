"""A choice for each layer under one budget, of least distortion in sum: dynamic programming.

Source: Xu et al. 2023, arXiv:2308.10438, where what layers do to the output is taken to add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import torch

UNITS = 1 << 16
"""A budget is divided into so many units at most; with more, costs are rounded up to whole ones."""


def least_distortion(
    costs: Sequence[Sequence[int]], distortions: Sequence[Sequence[float]], budget: int
) -> list[int] | None:
    """Which of its choices each layer takes so that Σ distortion is least while Σ cost ≤ `budget`.

    g[i][j] = min over k of g[i−1][j − cost(i, k)] + distortion(i, k); of equal ones the first choice. None
    where even the cheapest choices cost more. Exact as long as the budget is at most UNITS times the greatest
    common divisor of the costs.
    """
    divisor = gcd(*(cost for row in costs for cost in row)) or 1
    unit = max(divisor, -(-budget // UNITS))
    if -(-budget // UNITS) <= divisor:
        unit = divisor
    last = budget // unit
    best = torch.zeros(last + 1, dtype=torch.float64, device="cpu")
    taken: list[torch.Tensor] = []
    for row, lost in zip(costs, distortions, strict=True):
        tried = torch.full((len(row), last + 1), torch.inf, dtype=torch.float64, device="cpu")
        for place, (cost, distortion) in enumerate(zip(row, lost, strict=True)):
            need = -(-cost // unit)
            if need <= last:
                tried[place, need:] = best[: last + 1 - need] + distortion
        best, chosen = tried.min(0)
        first = (tried == best).to(torch.uint8).argmax(0)  # `min` may give any of equal ones
        taken.append(torch.where(best.isinf(), chosen, first).to(torch.int16))
    if torch.isinf(best[last]):
        return None
    left, choices = last, []
    for row, chosen in zip(reversed(costs), reversed(taken), strict=True):
        choices.append(int(chosen[left]))
        left -= -(-row[choices[-1]] // unit)
    return choices[::-1]
