"""Advice as ranking, colours, table and data."""

from __future__ import annotations

import math

import pytest

from surgery.advise import Advice, Item
from surgery.advise.advice import MOST_SHOWN


def advice(numbers: tuple[float, ...], **more: object) -> Advice:
    """Advice of blocks with these numbers."""
    settings: dict[str, object] = {
        "adviser": "depth",
        "title": "Depth",
        "unit": "m",
        "source": "original",
        "edit": "remove",
        "low_is_cheap": True,
        "items": tuple(Item(f"blocks.{place}") for place in range(len(numbers))),
    }
    return Advice(numbers=numbers, **(settings | more))  # type: ignore[arg-type]


def test_the_cheapest_come_first() -> None:
    """Low or high, as the adviser says; what is no number has no rank."""
    low = advice((3.0, 1.0, math.nan, 2.0))
    assert [(line.rank, line.items[0].path) for line in low.ranking] == [
        *((1, "blocks.1"), (2, "blocks.3"), (3, "blocks.0"))
    ]
    high = advice((3.0, 1.0, math.nan, 2.0), low_is_cheap=False)
    assert [line.value for line in high.ranking] == [3.0, 2.0, 1.0]
    assert low.values == {"blocks.0": 3.0, "blocks.1": 1.0, "blocks.3": 2.0}


def test_pairs_are_ranked_once() -> None:
    """Each pair of the matrix, the same both ways; the diagonal is none."""
    matrix = ((1.0, 0.2, 0.9), (0.2, 1.0, math.nan), (0.9, math.nan, 1.0))
    pairs = advice((0.9, 0.2, 0.9), matrix=matrix, low_is_cheap=False)
    assert [([item.path for item in line.items], line.value) for line in pairs.ranking] == [
        (["blocks.0", "blocks.2"], 0.9),
        (["blocks.0", "blocks.1"], 0.2),
    ]
    assert "blocks.0 and blocks.2" in str(pairs)


def test_colours_have_the_unit() -> None:
    """A legend from the least to the most; of several units of one module the cheapest counts."""
    items = (Item("attn", 0), Item("attn", 1), Item("other", 0))
    scores = advice((2.0, 1.0, 5.0), items=items, part="head").scores
    assert scores.values == {"attn": 1.0, "other": 5.0}
    assert scores.legend == {"title": "depth", "low": "1 m", "high": "5 m"}


def test_it_prints_as_a_table() -> None:
    """Rank, place, number with unit, and what it was found on."""
    found = advice((2.0, -1.0), examples=3, data="my text", seconds=1.24, notes=("Mind the gap.",))
    assert str(found).splitlines() == [
        "rank  place     depth",
        "   1  blocks.1   −1 m",
        "   2  blocks.0    2 m",
        "(lowest first: the cheapest to remove; my text; 3 examples, 1.2 s, cpu)",
        "Mind the gap.",
    ]
    assert "weights alone" in str(advice((1.0,)))
    assert str(advice(tuple(map(float, range(MOST_SHOWN + 2))))).splitlines()[-2] == "… and 2 more"


def test_places_in_words() -> None:
    """A module, a head in it, the ends of a tie, the model itself."""
    assert Item("a.b").text() == "a.b"
    assert Item("a.b", 3).text("head") == "a.b head 3"
    assert Item("a", None, ("b", "c")).text() == "a = b = c"
    assert Item("").text() == "the model"


def test_as_data() -> None:
    """What is no number is none there."""
    data = advice((math.inf, 1.0)).to_dict()
    assert [item["value"] for item in data["items"]] == [None, 1.0]
    assert data["ranking"] == [{"rank": 1, "items": [1]}] and data["matrix"] is None


@pytest.mark.parametrize(("value", "text"), [(0.123456, "0.123 m"), (2.5e6, "2.50 M m"), (-3.0, "−3 m")])
def test_numbers_in_words(value: float, text: str) -> None:
    """Three digits, large ones short, a real minus."""
    assert advice((1.0,)).text(value).replace("2.5 M", "2.50 M") == text
