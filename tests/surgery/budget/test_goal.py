"""A budget is said as people say it: less by a share or an amount, or what is to be left."""

from __future__ import annotations

import pytest

from surgery import SurgeryError
from surgery.budget.goal import change, goal_of, refuse_unknown, saved


@pytest.mark.parametrize(
    "text, limit",
    [
        ("-20 %", 800.0),
        ("−20%", 800.0),
        ("- 12,5 %", 875.0),
        ("80 %", 800.0),
        ("-0.2 k", 800.0),
        ("0.8k", 800.0),
        ("800", 800.0),
        (800, 800.0),
        (-200, 800.0),
        ("-0 %", 1000.0),
    ],
)
def test_what_is_to_be_left_of_a_thousand(text: str | float, limit: float) -> None:
    """A minus is less by that, typed in either way; without one it is what is left."""
    assert goal_of(text, "parameters", 1000).limit == pytest.approx(limit)


@pytest.mark.parametrize(
    "text, limit", [("4 MB", 4e6), ("4MiB", 4 * 2**20), ("-1 MB", 9e6), ("2.5 G", 2.5e9)]
)
def test_bytes_have_units(text: str, limit: float) -> None:
    """In powers of ten and of two."""
    assert goal_of(text, "bytes", 10_000_000).limit == pytest.approx(limit)


@pytest.mark.parametrize(
    "text", ["", "small", "-20 % of it", "+20 %", "1 MB", "-120 %", "--20 %", True, None]
)
def test_what_says_no_size_is_refused(text: object) -> None:
    """Bytes of parameters among it, and less by more than there is."""
    with pytest.raises(SurgeryError):
        goal_of(text, "parameters", 1000)  # type: ignore[arg-type]


def test_what_is_not_counted_is_refused() -> None:
    """With what is."""
    with pytest.raises(SurgeryError, match="one of parameters, bytes, macs"):
        refuse_unknown("latency")


def test_changes_are_written_with_a_true_minus() -> None:
    """And none as none."""
    assert change(1000, 800) == "−20.0 %" and change(1000, 1000) == "0 %"
    assert saved(1000, 800, "parameters") == "−200" and saved(5e6, 4e6, "bytes") == "−1.00 MB"
