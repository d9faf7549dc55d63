"""The band around the sum of losses holds what it says, and says so only where it can."""

from __future__ import annotations

import math
import random

import pytest

from surgery.budget.interaction import LEAST_PLANS, NOISE, PRIOR, Interaction, Tried

EDITS = {f"edit {number}": 0.1 * 1.4**number for number in range(10)}


def plan(draw: random.Random, strength: float = 0.3) -> Tried:
    """A plan of some of the edits, of which neighbours interact, and which saturates."""
    keys = frozenset(draw.sample(sorted(EDITS), draw.randint(2, 9)))
    total = sum(EDITS[key] for key in sorted(keys))
    pairs = sum(f"edit {int(key.split()[1]) + 1}" in keys for key in sorted(keys))
    loss = 6.0 * math.tanh((total + 0.2 * pairs) / 6.0) + draw.gauss(0.0, strength * 0.3)
    return Tried(keys, total, total, loss)


def test_before_any_plan_was_measured_the_sum_is_expected_in_a_wide_band() -> None:
    """And it is not called calibrated."""
    nothing = Interaction(())
    found = nothing.expected(Tried(frozenset("ab"), 2.0, 3.0))
    assert (found.centre, found.low, found.high) == (2.0, 2.0 + 3.0 * PRIOR[0], 2.0 + 3.0 * PRIOR[1])
    assert not nothing.is_calibrated


def test_too_few_plans_widen_the_cautious_band_and_never_narrow_it() -> None:
    """One that lost five times the sum is within the band from then on."""
    item = Tried(frozenset("ab"), 1.0, 1.0, 5.0)
    found = Interaction((item,))
    band = found.expected(Tried(frozenset("cd"), 1.0, 1.0))
    assert not found.is_calibrated
    assert band.low == pytest.approx(1.0 + PRIOR[0]) and band.high == pytest.approx(5.0)


def test_the_residual_of_each_plan_is_its_distance_from_a_fit_to_the_others() -> None:
    """The short way by one inverse gives what fitting without it gives, where sizes are alike."""
    draw = random.Random(1)
    tried = [Tried(item.keys, item.sum, 1.0, item.loss) for item in (plan(draw) for _ in range(12))]
    _, _, residuals = Interaction(tuple(tried))._fit
    for place, item in enumerate(tried):
        others = Interaction((*tried[:place], *tried[place + 1 :]))
        assert item.excess - others._excess(item)[0] == pytest.approx(float(residuals[place]), abs=1e-9)


def test_the_band_holds_nine_of_ten_plans_drawn_as_the_measured_ones_were() -> None:
    """Over many draws; short of it by no more than chance explains."""
    held, count = 0, 0
    for seed in range(40):
        draw = random.Random(seed)
        known = Interaction(tuple(plan(draw) for _ in range(24)))
        for _ in range(25):
            new = plan(draw)
            held += new.loss in known.expected(new)
            count += 1
    assert held / count >= 0.9 - 3 * math.sqrt(0.09 / count)
    assert held / count < 0.99, "a band that holds all is too wide"


def test_the_band_is_narrower_than_that_of_the_sum_alone() -> None:
    """What is learned of size and shared edits is used."""
    draw = random.Random(3)
    tried = tuple(plan(draw, strength=NOISE) for _ in range(30))
    new = [plan(draw) for _ in range(30)]
    learned = [Interaction(tried).expected(item) for item in new]
    width = sum((band.high - band.low) / item.size for band, item in zip(learned, new, strict=True)) / 30
    spread = sorted(item.excess for item in tried)
    assert width < spread[-2] - spread[1]


def test_the_expected_loss_lies_within_its_band_for_any_number_of_plans() -> None:
    """Also just below and at the least number."""
    draw = random.Random(5)
    for count in range(1, LEAST_PLANS + 3):
        known = Interaction(tuple(plan(draw) for _ in range(count)))
        band = known.expected(plan(draw))
        assert band.low <= band.centre <= band.high
        assert known.is_calibrated == (count >= LEAST_PLANS)
