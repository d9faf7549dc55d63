"""The charts: every state and every edit is there, and one that costs far more leaves the others legible."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from surgery.evaluate.sweep.bars import Bar
from surgery.picture.inks import score_colour
from surgery.registry import operation_named
from surgery.report.charts import bars_chart, frontier, states_chart
from surgery.show.states import Point

STEP = operation_named("remove").of("layers.0")
SVG = "{http://www.w3.org/2000/svg}"


def point(place: int, parameters: int, value: float, half_width: float = 0.1) -> Point:
    """A measured state, the first of which is the current one."""
    return Point(place, f"state {place}", parameters, value, half_width, "perplexity", place == 0)


def bar(label: str, cost: float, half: float = 0.1) -> Bar:
    """An edit with its interval; its colour is that of its cost."""
    return Bar(label, STEP, cost, cost - half, cost + half, min(1.0, cost / 10), f"{cost:+.2f}")


def heights(chart: str, bars: list[Bar]) -> list[float]:
    """How tall each bar is drawn."""
    rects = {
        node.get("fill"): float(node.get("height", 0)) for node in ET.fromstring(chart).iter(f"{SVG}rect")
    }
    return [rects[score_colour(bar.score)] for bar in bars]


def texts(chart: str) -> list[str | None]:
    """All that is written in a chart."""
    return [node.text for node in ET.fromstring(chart).iter(f"{SVG}text")]


def test_every_state_has_a_point_and_its_number() -> None:
    """And an interval, where it has one."""
    chart = states_chart([point(0, 2_000_000, 3.4, 0.0), point(1, 1_500_000, 4.1), point(2, 1_500_000, 3.9)])
    root = ET.fromstring(chart)
    assert len(list(root.iter(f"{SVG}circle"))) == 3
    assert {"0", "1", "2", "parameters"} <= set(texts(chart))
    assert "1 state 1: 1.50 M parameters, 4.100" in (root.findtext(f"{SVG}desc") or "")
    assert chart.count('var(--faint)" stroke-width="1.2"') == 2


def test_the_frontier_leaves_out_what_is_worse_and_larger() -> None:
    """The line runs through what nothing is both smaller and better than."""
    assert frontier([point(0, 9, 1.0), point(1, 5, 2.0), point(2, 6, 2.5), point(3, 2, 8.0)]) == [0, 1, 3]


def test_states_that_are_all_the_same_have_room() -> None:
    """An axis needs no two values."""
    chart = states_chart([point(0, 5, 1.0, 0.0), point(1, 5, 1.0, 0.0)])
    assert "nan" not in chart and len(set(texts(chart))) > 3


def test_bars_are_as_tall_as_they_cost() -> None:
    """From nought up."""
    bars = [bar("0", 1.0), bar("1", 2.0), bar("2", 4.0)]
    one, two, four = heights(bars_chart(bars, "KL after remove"), bars)
    assert abs(two / one - 2) < 0.02 and abs(four / two - 2) < 0.02


def test_one_that_costs_far_more_is_cut_off_with_its_figure() -> None:
    """The others stay apart; without it there is nothing to cut."""
    bars = [bar("0", 900.0), *(bar(str(place), 0.5 + place / 4) for place in range(1, 6))]
    chart = bars_chart(bars, "perplexity after remove")
    tallest, *others = heights(chart, bars)
    assert max(others) > 0.6 * tallest
    assert "+900.00" in texts(chart)
    assert "+1.75" not in texts(bars_chart(bars[1:], "perplexity after remove"))


def test_intervals_keep_a_bar_from_being_cut_off() -> None:
    """Where the others are as uncertain as it is tall, they need the room anyway."""
    bars = [bar("0", 10.0), *(bar(str(place), 0.5, half=5.0) for place in range(1, 4))]
    assert "+10.00" not in texts(bars_chart(bars, "accuracy after sparsify"))


def test_what_costs_without_end_is_cut_off() -> None:
    """And what is better hangs below the line."""
    endless = Bar("1", STEP, math.inf, None, None, 1.0, "+inf")
    chart = bars_chart([bar("0", 1.0), endless, bar("2", -0.5)], "perplexity after skip")
    assert "nan" not in chart and "inf" not in chart.replace("+inf", "")
    assert "+inf" in texts(chart)
