"""The studio follows what code does to its session."""

from __future__ import annotations

import pytest

import surgery
from tests.widgets.test_studio import cells, select, send
from tests.zoo import ZOO
from widgets.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """The studio on the small Llama of four blocks."""
    model, inputs = ZOO["llama"]()
    return Studio(surgery.open(model, inputs))


def test_an_edit_in_code_is_shown(studio: Studio) -> None:
    """Block, history and selection follow; the draft was made for the state before, and goes."""
    select(studio, "model.layers.2")
    send(studio.right, type="operation", name="remove")
    studio.session.remove("model.layers[0]")
    studio.background.settle(60)
    assert [cell["path"] for cell in cells(studio)] == [f"model.layers.{index}" for index in range(3)]
    assert len(studio.past.state["states"]) == 2
    assert list(studio.desk.selection) == ["model.layers.1"]
    assert studio.desk.draft is None
    studio.session.undo()
    studio.background.settle(60)
    assert len(cells(studio)) == 4


def test_two_studios_show_one_session(studio: Studio) -> None:
    """What is done in one is seen in the other, until that is closed."""
    other = Studio(studio.session)
    select(studio, "model.layers.0")
    send(studio.right, type="operation", name="remove")
    studio.background.settle(60)
    send(studio.right, type="apply")
    studio.background.settle(60)
    other.background.settle(60)
    assert len(cells(studio)) == len(cells(other)) == 3
    other.close()
    studio.session.undo()
    other.background.settle(60)
    assert len(cells(other)) == 3


def test_another_session_is_left_alone(studio: Studio) -> None:
    """Once a studio shows another model, edits of the one before change nothing in it."""
    before = studio.session
    model, inputs = ZOO["llama"]()
    studio.begin(surgery.open(model, inputs))
    before.remove("model.layers[0]")
    studio.background.settle(60)
    assert len(cells(studio)) == 4
