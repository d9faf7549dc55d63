"""The chart of size against the metric: which states are the best for their size."""

from __future__ import annotations

import pytest

from widgets.charts import AXES, SizeChart, front

POINTS = [(4.0, 2.0), (3.0, 2.5), (3.0, 2.4), (2.0, 2.6), (1.0, 9.0), (2.5, 3.0)]


@pytest.mark.parametrize(
    ("better", "ahead"), [("lower", [4, 3, 2, 0]), ("higher", [4])], ids=["lower", "higher"]
)
def test_the_front_is_what_no_other_beats(better: str, ahead: list[int]) -> None:
    """From the smallest to the largest; of equal sizes the best."""
    assert front(POINTS, better) == ahead
    assert front([], better) == []


def test_another_axis_draws_the_same_states() -> None:
    """States of which it is not known are left out; another model begins anew."""
    chart = SizeChart(lambda state: None)
    common = {"half_width": 0.1, "metric": "perplexity", "better": "lower", "size_bytes": 40}
    first = {"id": 0, "label": "Original", "value": 2.0, "parameters": 10, "current": False}
    second = {"id": 1, "label": "<b>cut</b>", "value": 3.0, "parameters": 8, "current": True}
    macs = "macs_per_token"
    chart.draw([{**first, **common, macs: None}, {**second, **common, macs: 5}])
    assert list(chart.figure.data[0].x) == [10, 8] and list(chart.figure.data[1].x) == [8, 10]
    chart.axis.value = macs
    assert list(chart.figure.data[0].x) == [5] and chart.figure.layout.xaxis.title.text == AXES[macs]
    chart.clear()
    assert chart.figure is None and len(chart.children) == 1
