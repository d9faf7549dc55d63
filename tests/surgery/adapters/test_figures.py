"""Charts of adapters show what was computed by hand."""

from __future__ import annotations

import pytest
import torch

from surgery.charts import Bars, Curves, Heat
from tests.surgery.adapters.trained import opened, train


def test_how_much_an_adapter_changes_a_weight() -> None:
    """‖scale · B A‖ / ‖W‖ by role and block, with the name where there are several, and whether it is off."""
    session, _ = opened("lora")
    assert session.chart("attach", "**.up") is None
    session.attach("blocks[0:2].{up,down}", rank=2)
    train(session.model)
    chart = session.chart("fold")
    assert isinstance(chart, Heat)
    assert (chart.rows, chart.columns) == (("up", "down"), ("0", "1"))
    down = session.model.get_submodule("blocks.1.down")
    ratio = (down.scale * down.lora_B @ down.lora_A).norm() / down.base.weight.norm()  # type: ignore[operator, union-attr]
    assert chart.values[1][1] == pytest.approx(float(ratio), rel=1e-4)
    session.attach("blocks[0].up", "ia3", called="gates")
    session.activate("gates")
    both = session.chart("activate")
    assert isinstance(both, Heat) and set(both.rows) == {"up default (off)", "down default (off)", "up gates"}


def test_few_are_bars() -> None:
    """Of one block there is a bar for each, those that are active marked."""
    session, _ = opened("lora")
    session.attach("blocks[0].{up,down}", rank=2)
    session.activate(off=True)
    session.activate("default", targets="blocks[0].up")
    chart = session.chart("detach")
    assert isinstance(chart, Bars)
    assert (chart.labels, chart.values, chart.marked) == (("up", "down (off)"), (0.0, 0.0), (0,))


def test_what_a_rank_keeps() -> None:
    """The part of the squared size that the first singular values of both together have."""
    session, _ = opened("lora")
    for name in ("default", "style"):
        session.attach("blocks[0:2].up", rank=2, called=name)
    train(session.model)
    chart = session.chart("combine", "default, style", "svd", rank=3)
    assert isinstance(chart, Curves) and chart.mark == 3.0 and list(chart.lines) == ["0", "1"]
    up = session.model.get_submodule("blocks.0.up")
    whole = up.scale * up.lora_B @ up.lora_A + up.base.scale * up.base.lora_B @ up.base.lora_A  # type: ignore[operator, union-attr]
    energy = torch.linalg.svdvals(whole.detach()).square()
    wanted = energy[:3].sum() / energy.sum()
    assert chart.lines["0"][3] == (3.0, pytest.approx(float(wanted), rel=1e-4))
    assert isinstance(session.chart("combine", "default, style"), Heat | Bars)
