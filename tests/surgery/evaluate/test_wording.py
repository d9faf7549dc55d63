"""Figures in words: the same on the screen and on paper."""

from __future__ import annotations

import pytest

from surgery.evaluate import Figure, Interval, Report
from surgery.evaluate.wording import (
    Line,
    change_text,
    circumstances,
    cost_line,
    figure_line,
    percent,
    signed,
)

ACCURACY = Figure("accuracy", "accuracy", "%", "higher", 1, 98.9, 80.4, Interval(-24.6, -12.4))
UNSURE = Figure("perplexity", "perplexity", "", "lower", 2, 3.44, 3.45, Interval(-0.02, 0.04))
REPORT = Report((ACCURACY, UNSURE), 1, "image", 0, 0.14, "cpu", "digits", ("A note.",))


def test_a_figure_is_a_line() -> None:
    """Worse in its own direction, and neither where the interval holds nought."""
    line = Line("Accuracy", "98.9 %", "80.4 %", "−18.5", "−24.6 to −12.4", "worse")
    assert figure_line(ACCURACY, REPORT) == line
    assert figure_line(UNSURE, REPORT).tone == "none"
    assert change_text(UNSURE) == "+0.01 ± 0.03, not measurable"


def test_a_cost_is_a_line() -> None:
    """Less is better; nothing is said of a change that is none."""
    assert cost_line("Size", 6e6, 4.5e6, "B") == Line("Size", "6.00 MB", "4.50 MB", "−25.0 %", "", "better")
    assert cost_line("Size", 5, 5, "B").change == ""


@pytest.mark.parametrize(("number", "text"), [(-147456, "−147 k"), (1500, "+1.50 k"), (0, "0")])
def test_changes_have_their_sign(number: float, text: str) -> None:
    """But for none at all."""
    assert signed(number) == text


def test_a_change_of_nothing_has_no_share() -> None:
    """There is nothing to divide by."""
    assert percent(0, 5) == "" and percent(2, 3) == "+50.0 %"


def test_circumstances_end_with_the_notes() -> None:
    """Data, amount, time, device."""
    assert circumstances(REPORT) == "digits; 1 image, 0.1 s, cpu. A note."
