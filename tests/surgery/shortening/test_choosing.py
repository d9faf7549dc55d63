"""The knapsack is exact."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surgery.shortening import cheapest


def brute(costs: list[float], weights: list[int], least: int) -> float | None:
    """The least sum of costs over all choices that are heavy enough."""
    every = (chosen for size in range(len(costs) + 1) for chosen in combinations(range(len(costs)), size))
    sums = [
        sum(costs[place] for place in chosen)
        for chosen in every
        if sum(weights[place] for place in chosen) >= least
    ]
    return min(sums, default=None)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=8), st.integers(0, 60))
def test_it_equals_every_choice_tried(pairs: list[tuple[int, int]], least: int) -> None:
    """The sum is the least there is, the weight enough; None only where all together are too light."""
    costs, weights = [float(cost) for cost, _ in pairs], [weight for _, weight in pairs]
    found = cheapest(costs, weights, least)
    best = brute(costs, weights, least)
    assert (found is None) == (best is None)
    if found is not None:
        assert sum(weights[place] for place in found) >= least
        assert sum(costs[place] for place in found) == best
        assert list(found) == sorted(set(found))


def test_of_equal_blocks_the_first_go() -> None:
    """And a hundred of them are no work."""
    costs = torch.linspace(0, 1, 100).tolist()
    assert cheapest(costs, [7] * 100, 21) == (0, 1, 2)
    assert cheapest([1.0] * 5, [2] * 5, 4) == (0, 1)


@pytest.mark.parametrize(("least", "found"), [(0, ()), (10, (1,)), (11, (0, 1)), (12, None)])
def test_it_takes_what_is_heavy_enough(least: int, found: tuple[int, ...] | None) -> None:
    """A heavy block alone before a light one beside it."""
    assert cheapest([1.0, 5.0], [1, 10], least) == found
