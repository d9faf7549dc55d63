"""A sweep as colours: what costs most is 1, what costs least 0, and the legend has the figure's unit."""

from __future__ import annotations

import pytest

from surgery.evaluate.figure import Figure
from surgery.evaluate.sweep import Row, SweepReport
from surgery.evaluate.sweep.colours import costs, effects
from surgery.fields import Targets
from surgery.registry import operation_named


def swept(*costs: float, better: str = "lower") -> SweepReport:
    """A sweep that took out blocks of which each costs so much perplexity, or so much of an accuracy."""
    sign, unit = (1, "") if better == "lower" else (-1, "%")
    rows = []
    for number, cost in enumerate(costs):
        path = f"layers.{number}"
        step = operation_named("remove").of(Targets(path, (path,)))
        name = "perplexity" if better == "lower" else "accuracy"
        figure = Figure(name, name, unit, better, 2, 50.0, 50.0 + sign * cost, None)  # type: ignore[arg-type]
        rows.append(Row(step, (10, 5), (figure,)))
    return SweepReport(tuple(rows), rows[0].figures[0].name, 8, "window", 1.0, "cpu", "data")


def test_the_dearest_is_one_and_the_cheapest_nought() -> None:
    """And the legend says what they are."""
    scores = costs(swept(1.0, 2.0, 3.0))
    assert scores is not None and scores.parts == pytest.approx(
        {"layers.0": 0.0, "layers.1": 0.5, "layers.2": 1.0}
    )
    assert scores.legend == {"title": "perplexity after remove", "low": "+1.00", "high": "+3.00"}


def test_one_that_costs_far_more_leaves_the_others_apart() -> None:
    """Colours are logarithmic then."""
    scores = costs(swept(0.5, 1.0, 1.5, 70.0))
    assert scores is not None
    assert scores.parts["layers.3"] == 1.0
    assert scores.parts["layers.2"] - scores.parts["layers.1"] > 0.05


def test_a_loss_of_accuracy_has_its_sign_and_unit() -> None:
    """What is worse is higher on the scale, though the figure falls."""
    scores = costs(swept(1.0, 9.0, better="higher"))
    assert scores is not None and scores.legend == {
        "title": "accuracy after remove",
        "low": "−1.00 %",
        "high": "−9.00 %",
    }
    assert scores.parts == {"layers.0": 0.0, "layers.1": 1.0}
    assert effects(swept(1.0, better="higher")) == {"layers.0": ["remove: accuracy −1.00 %"]}


def test_edits_that_cost_the_same_have_one_colour() -> None:
    """And without a sweep there is none."""
    scores = costs(swept(2.0, 2.0))
    assert scores is not None and scores.parts == {"layers.0": 0.0, "layers.1": 0.0}
    assert costs(None) is None and effects(None) == {}
