"""What the graph is coloured by: measured or structural, with a legend in its unit."""

from __future__ import annotations

from typing import Any

import pytest

import surgery
from surgery.scores import Scores
from tests.widgets.test_studio import send
from tests.zoo import ZOO
from widgets.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """The small Llama without its first block."""
    studio = Studio(surgery.open(*ZOO["llama"]()))
    studio.session.remove("model.layers[0]")
    studio.refresh()
    return studio


def coloured(studio: Studio, name: str) -> tuple[Any, Any]:
    """Legend and colours after a choice."""
    send(studio.centre, type="run", name=f"colour:{name}")
    return studio.centre.state["legend"], studio.centre.state["scores"]


def test_structure_has_colours_without_measuring(studio: Studio) -> None:
    """Parameters and MACs of all that is drawn."""
    assert studio.centre.state["legend"] is None
    legend, scores = coloured(studio, "parameters")
    assert legend == {"title": "parameters", "low": "32", "high": "7.74 k"}
    assert set(scores) == {
        "model.embed_tokens",
        *(f"model.layers.{i}" for i in range(3)),
        "model.norm",
        "lm_head",
    }
    assert scores["model.norm"] == 0.0 and max(scores.values()) == 1.0
    legend, scores = coloured(studio, "macs")
    assert legend["title"] == "MACs per token" and scores["model.embed_tokens"] == 0.0
    assert coloured(studio, "none") == (None, None)
    assert coloured(studio, "no such") == (None, None)
    assert studio.centre.state["colour"]["value"] == "none"


def test_layers_are_coloured_at_their_paths_now(studio: Studio) -> None:
    """Once they were compared."""
    assert coloured(studio, "layers") == (None, None)
    studio.errands.budget_s = 0.3
    send(studio.report, type="measure", what="layers")
    studio.background.settle(60)
    assert studio.centre.state["legend"]["title"] == "1 − cosine with the original"
    assert set(studio.centre.state["scores"]) == {f"model.layers.{index}" for index in range(3)}


def test_equal_values_have_one_colour() -> None:
    """And what has no end counts as the most that has one."""
    assert Scores("x", {"a": 2.0, "b": 2.0}, str).parts == {"a": 0.0, "b": 0.0}
    assert Scores("x", {"a": 1.0, "b": 2.0, "c": float("inf")}, str).parts == {"a": 0.0, "b": 1.0, "c": 1.0}
