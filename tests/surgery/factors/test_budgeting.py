"""Dynamic programming under a budget, beside every choice tried one by one."""

from __future__ import annotations

import random
from itertools import product

import pytest

from surgery.factors.budgeting import UNITS, least_distortion


def problem(seed: int, scale: int = 1) -> tuple[list[list[int]], list[list[float]]]:
    """Four layers of two to four choices each; dearer ones are not always better."""
    drawn = random.Random(seed)
    counts = [drawn.randint(2, 4) for _ in range(4)]
    costs = [[scale * drawn.randint(1, 30) + (scale > 1) for _ in range(count)] for count in counts]
    return costs, [[drawn.random() for _ in range(count)] for count in counts]


def by_hand(costs: list[list[int]], lost: list[list[float]], budget: int) -> float | None:
    """The least sum of all choices that fit; None if none does."""
    sums = [
        sum(lost[layer][place] for layer, place in enumerate(choice))
        for choice in product(*(range(len(row)) for row in costs))
        if sum(costs[layer][place] for layer, place in enumerate(choice)) <= budget
    ]
    return min(sums, default=None)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("budget", [8, 25, 47, 60, 200])
def test_it_is_the_least_of_all_choices(seed: int, budget: int) -> None:
    """And None exactly where none fits."""
    costs, lost = problem(seed)
    choices, least = least_distortion(costs, lost, budget), by_hand(costs, lost, budget)
    if choices is None:
        assert least is None
        return
    assert sum(row[place] for row, place in zip(costs, choices, strict=True)) <= budget
    found = sum(row[place] for row, place in zip(lost, choices, strict=True))
    assert least is not None and found == pytest.approx(least, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_costs_with_a_common_divisor_are_exact_whatever_their_size(seed: int) -> None:
    """Parameters of layers are multiples of their widths."""
    costs, lost = problem(seed)
    wide = [[cost * 1_000_000 for cost in row] for row in costs]
    assert least_distortion(wide, lost, 47_000_000) == least_distortion(costs, lost, 47)


@pytest.mark.parametrize("seed", range(10))
def test_costs_that_are_rounded_never_go_beyond_the_budget(seed: int) -> None:
    """And what is found is no worse than the least for a budget smaller by a unit a layer."""
    costs, lost = problem(seed, scale=9_999_991)
    budget = 47 * 9_999_991
    choices = least_distortion(costs, lost, budget)
    near = by_hand(costs, lost, budget - 4 * (budget // UNITS + 1))
    if choices is None:
        assert near is None
        return
    assert sum(row[place] for row, place in zip(costs, choices, strict=True)) <= budget
    assert near is None or sum(row[place] for row, place in zip(lost, choices, strict=True)) <= near + 1e-12


def test_of_equal_choices_the_first_is_taken() -> None:
    """So the same figures give the same plan."""
    assert least_distortion([[2, 1, 1], [1, 2]], [[0.5, 0.5, 0.5], [0.0, 0.0]], 4) == [0, 0]
