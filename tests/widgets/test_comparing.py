"""Two states side by side."""

from __future__ import annotations

import pytest

import surgery
from tests.widgets.test_studio import send
from tests.zoo import ZOO
from widgets.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """The small Llama after a removal and a tie."""
    studio = Studio(surgery.open(*ZOO["llama"]()))
    studio.session.remove("model.layers[1]")
    studio.session.tie("model.layers[2]", to="model.layers[1]")
    studio.refresh()
    return studio


def test_blocks_are_aligned_and_the_differences_said(studio: Studio) -> None:
    """What went stands alone, what was tied is changed, the words are those of `surgery diff`."""
    assert studio.beside.state["shown"] is None
    send(studio.past, type="compare", id="0")
    shown = studio.beside.state["shown"]
    columns = [(column["before"], column["after"], column["mark"]) for column in shown["columns"]]
    assert columns == [
        ("embed_tokens", "embed_tokens", ""),
        ("0", "0", ""),
        ("1", None, "remove"),
        ("2", "1", "changed"),
        ("3", "2", "changed"),
        ("norm", "norm", ""),
        ("lm_head", "lm_head", ""),
    ]
    assert any(line.startswith("− model.layers.1") for line in shown["changes"])
    assert any(line.startswith("= model.layers.2 tied to model.layers.1") for line in shown["changes"])
    parameters = shown["figures"][0]
    assert parameters["label"] == "Parameters" and parameters["before"] != parameters["after"]


def test_swapping_goes_to_the_other_state(studio: Studio) -> None:
    """What was removed is new then; closing ends it."""
    send(studio.past, type="compare", id="0")
    send(studio.beside, type="swap", id=0)
    shown = studio.beside.state["shown"]
    assert studio.session.steps == () and shown["after"]["label"] == "Original"
    assert [column["after"] for column in shown["columns"] if column["mark"] == "new"] == ["1"]
    send(studio.beside, type="close")
    assert studio.beside.state["shown"] is None


def test_states_are_named_and_forgotten(studio: Studio) -> None:
    """A name is the label; the state that the current one stands on cannot go."""
    send(studio.past, type="rename", id="1", name=" first cut ")
    assert studio.past.state["states"][1]["label"] == "first cut"
    assert studio.past.state["states"][1]["step"] == "remove layers[1]"
    send(studio.past, type="delete", id="1")
    assert "stands on this one" in studio.top.state["notice"]["text"]
    send(studio.past, type="goto", id="1")
    send(studio.past, type="compare", id="2")
    send(studio.past, type="delete", id="2")
    assert [state["id"] for state in studio.past.state["states"]] == ["0", "1"]
    assert not studio.top.state["can_redo"] and studio.beside.state["shown"] is None


def test_what_is_forgotten_leaves_the_chart(studio: Studio) -> None:
    """No point of a state that is not there any longer."""
    send(studio.top, type="evaluate", budget_s=0.3)
    studio.background.settle(60)
    assert studio.chart.points
    send(studio.past, type="goto", id="1")
    send(studio.past, type="delete", id="2")
    assert studio.chart.points == [] and studio.chart.figure is None


def test_an_edit_in_code_does_not_break_the_next_gesture(studio: Studio) -> None:
    """The selection may name what the picture does not have yet."""
    studio.session.duplicate("model.layers[0]")
    send(studio.left, type="search", text="model.layers.*", submit=True)
    assert len(studio.desk.selection) == 4
    assert len(studio.past.state["states"]) == 4
