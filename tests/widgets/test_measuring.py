"""The panel of measures: what each tab shows, and what is measured when it is asked for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import surgery
from surgery.histograms import Histogram
from surgery.session import Session
from tests.widgets.test_studio import select, send
from widgets.measuring import SPREADS
from widgets.studio import Studio


@pytest.fixture(scope="module")
def studio() -> Studio:
    """The demonstration with a block removed and a budget that is soon spent."""
    studio = Studio(surgery.open("demo"))
    studio.session.remove("model.layers[1]")
    studio.refresh()
    studio.errands.budget_s = 0.3
    return studio


def tab(studio: Studio, name: str) -> Any:
    """What the panel shows on a tab."""
    send(studio.report, type="tab", name=name)
    studio.background.settle(60)
    return studio.report.state


def test_a_tab_that_is_not_there_changes_nothing(studio: Studio) -> None:
    """The first is the evaluation."""
    assert tab(studio, "report")["tab"] == "report"
    assert tab(studio, "no such")["tab"] == "report"


def test_layers_are_compared_where_asked(studio: Studio) -> None:
    """A bar per block that is left, at its path now; the report of the state stays what it was."""
    assert tab(studio, "layers")["bars"] is None
    send(studio.report, type="measure", what="layers")
    studio.background.settle(60)
    bars = studio.report.state["bars"]["bars"]
    assert [bar["path"] for bar in bars] == [f"model.layers.{index}" for index in range(9)]
    assert bars[0]["value"] == pytest.approx(0, abs=1e-5) and bars[3]["value"] > 0.001
    assert all(bar["low"] <= bar["value"] <= bar["high"] for bar in bars)
    assert studio.session.history.current.report is None and studio.top.state["evaluating"] is None
    studio.session.undo()
    studio.refresh()
    assert studio.report.state["bars"] is None  # it belongs to the other state
    studio.session.redo()
    studio.refresh()
    assert studio.report.state["bars"] is not None


def test_speed_is_measured_where_asked(studio: Studio) -> None:
    """Rows of before and after, with the machine."""
    assert tab(studio, "speed")["rows"] == []
    send(studio.report, type="measure", what="speed")
    studio.background.settle(120)
    rows = {row["label"]: row for row in studio.report.state["rows"]}
    assert {"Peak memory", "On disk"} < set(rows) and rows["On disk"]["tone"] == "better"
    assert studio.report.state["note"].startswith("cpu")


def test_values_of_the_selected_module(studio: Studio) -> None:
    """Its weights at once, what it gives when asked; of several modules nothing."""
    select(studio, "model.layers.2.mlp.up_proj")
    state = tab(studio, "values")
    assert [item["title"] for item in state["histograms"]] == ["Weights of model.layers.2.mlp.up_proj"]
    assert sum(state["histograms"][0]["counts"]) == 32768 and 0 < state["histograms"][0]["zero"] < 1
    send(studio.report, type="measure", what="activations")
    studio.background.settle(60)
    assert [item["title"] for item in studio.report.state["histograms"]][1:] == [
        "What model.layers.2.mlp.up_proj gives"
    ]
    select(studio, "model.layers")
    send(studio.report, type="measure", what="activations")
    studio.background.settle(60)
    assert "does not give hidden states" in studio.report.state["sentence"]
    select(studio, "model.layers.1", "model.layers.2")
    assert studio.report.state["histograms"] == [] and studio.report.state["ask"] is None


def test_a_histogram_that_was_overtaken_is_asked_for_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another module's came first, or the state changed meanwhile: nothing stays under way for ever."""
    held, weights = threading.Event(), SPREADS["weights"]
    begun: list[str] = []

    def slow(session: Session, path: str) -> Histogram:
        begun.append(path)
        assert held.wait(60)
        return weights(session, path)

    monkeypatch.setitem(SPREADS, "weights", slow)
    select(studio, "model.layers.3.mlp.up_proj")
    send(studio.report, type="tab", name="values")
    select(studio, "model.layers.4.mlp.up_proj")
    studio.session.scale("model.layers[5]", factor=0.5)
    select(studio, "model.layers.3.mlp.up_proj")
    held.set()
    studio.background.settle(60)
    titles = [item["title"] for item in studio.report.state["histograms"]]
    assert titles == ["Weights of model.layers.3.mlp.up_proj"]
    assert begun.count("model.layers.3.mlp.up_proj") >= 2
    studio.session.undo()
    studio.refresh()
    studio.background.settle(60)


def test_costs_are_those_of_the_last_sweep(studio: Studio) -> None:
    """In the order of the tree, with intervals and words."""
    assert tab(studio, "costs")["bars"] is None
    studio.session.sweep("remove", "model.layers[0:4]", budget_s=1.0)
    studio.refresh()
    bars = studio.report.state["bars"]["bars"]
    assert [bar["label"] for bar in bars] == ["0", "1", "2", "3"]
    assert bars[0]["text"].startswith("remove layers.0: ") and bars[0]["low"] < bars[0]["high"]


def test_stopping_is_said(studio: Studio) -> None:
    """And nothing is kept."""
    studio.session.undo()
    studio.refresh()
    tab(studio, "layers")
    studio.errands.budget_s = 60
    send(studio.report, type="measure", what="layers")
    send(studio.top, type="stop")
    studio.background.settle(60)
    assert studio.top.state["notice"]["text"] == "Comparing layers: stopped."
    assert studio.report.state["bars"] is None and studio.top.state["evaluating"] is None


def test_a_skeleton_is_evaluated_from_its_files(tmp_path: Path) -> None:
    """Weights are read while they are needed; where there are none it says so."""
    surgery.open("demo").save(tmp_path / "base")
    studio = Studio(surgery.open(tmp_path / "base", skeleton=True))
    assert not any("Press E" in thing for thing in studio.top.state["first_minute"])
    studio.session.remove("model.layers[1]")
    studio.refresh()
    send(studio.top, type="evaluate", budget_s=0.5)
    studio.background.settle(120)
    assert "perplexity" in studio.report.state["sentence"] and studio.top.state["evaluating"] is None
    (tmp_path / "base" / "model.safetensors").unlink()
    bare = Studio(surgery.open(tmp_path / "base" / "config.json"))
    send(bare.top, type="evaluate", budget_s=0.5)
    bare.background.settle(60)
    assert bare.top.state["notice"]["tone"] == "bad" and bare.top.state["evaluating"] is None
