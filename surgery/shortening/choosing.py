"""The cheapest blocks that are heavy enough together: a 0-1 knapsack, solved exactly."""

from __future__ import annotations

from collections.abc import Sequence


def cheapest(costs: Sequence[float], weights: Sequence[int], least: int) -> tuple[int, ...] | None:
    """The places whose weights come to `least` or more at the least sum of costs; None if all do not.

    Of equal sums the lighter choice, then the one of earlier places. It keeps every choice that no other is
    both cheaper and heavier than, so it is exact; with few different weights these are few.
    """
    # By weight and cost: a choice that another one beats in both can never become the best.
    front: list[tuple[int, float, tuple[int, ...]]] = [(0, 0.0, ())]
    for place, (cost, weight) in enumerate(zip(costs, weights, strict=True)):
        both = front + [(before + weight, spent + cost, (*chosen, place)) for before, spent, chosen in front]
        both.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
        front = []
        for entry in both:
            if not front or entry[1] < front[-1][1]:
                front.append(entry)
    enough = [entry for entry in front if entry[0] >= least]
    if not enough:
        return None
    return min(enough, key=lambda entry: (entry[1], entry[0], entry[2]))[2]
