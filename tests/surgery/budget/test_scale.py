"""Losses are added on a scale on which edits that do not interact add up."""

from __future__ import annotations

import math

import pytest

from surgery.budget.scale import Scale
from surgery.evaluate.figure import Figure
from surgery.evaluate.statistics import Interval

PERPLEXITY = Figure("perplexity", "perplexity", "", "lower", 2, 2.0, 3.0, Interval(0.8, 1.2))
ACCURACY = Figure("accuracy", "accuracy", "%", "higher", 1, 98.0, 90.0, Interval(-10.0, -6.0))
AGREEMENT = Figure("fidelity", "agreement", "%", "higher", 1, None, 96.0, Interval(95.0, 97.0), perfect=100.0)
KL = Figure("fidelity", "KL", "nats/token", "lower", 3, None, 0.2, Interval(0.1, 0.3), perfect=0.0)


@pytest.mark.parametrize("figure", [PERPLEXITY, ACCURACY, AGREEMENT, KL], ids=lambda figure: figure.name)
def test_a_loss_says_the_value_again(figure: Figure) -> None:
    """None is the value before, and worse is more, whichever way the figure goes."""
    scale = Scale.of(figure, 200)
    assert scale.value(scale.loss(figure.after)) == pytest.approx(figure.after)
    assert scale.value(0.0) == pytest.approx(scale.before)
    assert scale.loss(figure.after) > 0


def test_perplexities_multiply() -> None:
    """Twice half as much more is 2.25 times."""
    scale = Scale.of(PERPLEXITY, 200)
    assert scale.value(2 * scale.loss(3.0)) == pytest.approx(4.5)


def test_a_share_never_leaves_its_range() -> None:
    """However much is lost, or gained."""
    for figure in (ACCURACY, AGREEMENT):
        scale = Scale.of(figure, 200)
        assert 0.0 <= scale.value(50.0) < scale.value(-50.0) <= 100.0


def test_all_and_nothing_are_as_far_as_the_examples_can_tell() -> None:
    """An accuracy of 100 % on few examples is no infinite gain."""
    few, many = Scale.of(ACCURACY, 20), Scale.of(ACCURACY, 2000)
    assert math.isfinite(few.loss(100.0)) and few.loss(100.0) > many.loss(100.0)


def test_nothing_is_expected_to_be_better_than_perfect() -> None:
    """A divergence is never below none."""
    assert Scale.of(KL, 200).value(-1.0) == 0.0


def test_the_error_of_a_loss_is_that_of_its_figure() -> None:
    """On the logarithm a relative one."""
    assert Scale.of(PERPLEXITY, 200).error(PERPLEXITY) == pytest.approx(0.2 / 3.0 / 1.96, rel=0.01)
