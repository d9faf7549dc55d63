"""Counts in a few characters."""

import pytest

from graph.units import short

COUNTS = {
    0: "0",
    128: "128",
    999: "999",
    1000: "1.00 k",
    16_384: "16.4 k",
    148_000: "148 k",
    999_499: "999 k",
    999_950: "1.00 M",
    1_479_808: "1.48 M",
    9_999_999: "10.0 M",
    7 * 10**9: "7.00 G",
    -32_768: "-32.8 k",
}


@pytest.mark.parametrize(("count", "text"), COUNTS.items())
def test_three_significant_digits(count: int, text: str) -> None:
    """The same digits at every size, also where rounding reaches the next unit."""
    assert short(count) == text


def test_unit_follows_its_prefix() -> None:
    """Bytes stay whole numbers until a prefix fits."""
    assert [short(size, "B") for size in (12, 5_900_000)] == ["12 B", "5.90 MB"]
