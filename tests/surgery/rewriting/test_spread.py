"""The pictures of rewrites: how unevenly scales lie, and what part of a writer goes."""

from __future__ import annotations

import torch

import surgery
from surgery.charts import Heat
from surgery.rewriting.spread import by_block, spread
from tests.surgery.rewriting.models import of_the_atlas


def test_spread_is_the_largest_over_the_median() -> None:
    """Signs do not count, and a median of nothing is no number to divide by."""
    assert spread(torch.tensor([1.0, -4.0, 2.0])) == 2
    assert spread(torch.zeros(3)) == 0


def test_paths_that_differ_in_a_number_are_a_row() -> None:
    """By role and block; what has no number has a column of its own."""
    chart = by_block("Anything", {"h.0.a.weight": 1.0, "h.1.a.weight": 2.0, "h.1.b": 3.0, "top": 4.0}, "×")
    assert chart.rows == ("h.*.a", "h.*.b", "top") and chart.columns == ("", "0", "1")
    assert chart.values == ((None, 1.0, 2.0), (None, None, 3.0), (4.0, None, None))


def test_what_was_mean_is_drawn() -> None:
    """A writer of vectors that are all alike is all mean; one that was centred is none."""
    model, inputs = of_the_atlas("vit")
    model.vit.layers[0].mlp.fc2.weight.data.fill_(0.3)
    s = surgery.open(model, inputs)
    chart = s.chart("to_rms_norm")
    assert isinstance(chart, Heat)
    row = next(number for number, name in enumerate(chart.rows) if name.endswith("fc2"))
    assert abs((chart.values[row][chart.columns.index("0")] or 0) - 100) < 1e-3


def test_gammas_are_drawn() -> None:
    """A norm with one large weight stands out, in folding as in absorbing."""
    model, inputs = of_the_atlas("vit")
    model.vit.layers[1].layernorm_after.weight.data = torch.ones(32).index_fill(0, torch.tensor([3]), 5.0)
    chart = surgery.open(model, inputs).chart("absorb_norm")
    assert isinstance(chart, Heat)
    assert chart.values[chart.rows.index("layers.*.layernorm_after")][chart.columns.index("1")] == 5
    model, inputs = of_the_atlas("cnn")
    for norm in (model.stage1[0].bn1, model.stage1[1].bn1):
        norm.weight.data.fill_(1), norm.running_var.fill_(1)
    model.stage1[1].bn1.running_var[2] = 1 / 9
    chart = surgery.open(model, inputs).chart("fold_norm")
    assert isinstance(chart, Heat)
    found = chart.values[chart.rows.index("stage1.*.bn1")][chart.columns.index("1")]
    assert abs((found or 0) - 3) < 1e-3
