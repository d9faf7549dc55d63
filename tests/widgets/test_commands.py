"""Commands by name, as palette, menu and keys ask for them; and the selections they make."""

from __future__ import annotations

import pytest

import surgery
from surgery.registry import operations
from tests.widgets.test_studio import select, send
from tests.zoo import ZOO
from widgets.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """The studio on the small Llama of four blocks."""
    return Studio(surgery.open(*ZOO["llama"]()))


def reasons(studio: Studio) -> dict[str, str | None]:
    """Why each command cannot be run now."""
    return {command["name"]: command["reason"] for command in studio.menu.state["commands"]}


def test_every_operation_is_a_command(studio: Studio) -> None:
    """With what it does and, before anything is selected, why not yet."""
    found = reasons(studio)
    assert {f"operation:{name}" for name in operations()} <= set(found)
    assert found["operation:tie"] == found["invert"] == "select something first"
    select(studio, "model.layers.1")
    assert reasons(studio)["operation:remove"] is None
    assert reasons(studio)["operation:swap"] == "select two blocks"


def test_a_command_runs_what_its_button_does(studio: Studio) -> None:
    """The draft of an operation, undo, and what is pending."""
    select(studio, "model.layers.1")
    send(studio.menu, type="run", name="operation:remove")
    studio.background.settle(60)
    assert studio.right.state["dry_run"]["python"] == 's.remove("model.layers[1]")'
    send(studio.right, type="pend")
    studio.background.settle(60)
    assert reasons(studio)["pending"] is None
    send(studio.menu, type="run", name="pending")
    assert [step.name for step in studio.session.steps] == ["remove"]
    send(studio.menu, type="run", name="undo")
    assert studio.session.steps == ()
    send(studio.menu, type="run", name="no such")
    send(studio.menu, type="run", name="operation:no such")
    assert studio.session.steps == () and studio.desk.draft is None


def test_escape_drops_the_draft_and_then_the_selection(studio: Studio) -> None:
    """One thing at a time."""
    select(studio, "model.layers.1")
    send(studio.centre, type="key", key="P")
    send(studio.centre, type="key", key="Escape")
    assert studio.desk.draft is None and studio.desk.selection == ["model.layers.1"]
    send(studio.centre, type="key", key="Escape")
    assert studio.desk.selection == []


def test_similar_and_inverted(studio: Studio) -> None:
    """The same role in every block; the other blocks of the list."""
    select(studio, "model.layers.1.mlp")
    send(studio.centre, type="key", key="R")
    assert set(studio.desk.selection) == {f"model.layers.{index}.mlp" for index in range(4)}
    assert studio.desk.selection[0] == "model.layers.1.mlp"
    select(studio, "model.layers.1", "model.layers.2")
    send(studio.left, type="key", key="I")
    assert studio.desk.selection == ["model.layers.0", "model.layers.3"]


def test_kept_selections_follow_their_modules(studio: Studio) -> None:
    """Selected again under other names; what went is not."""
    select(studio, "model.layers.1", "model.layers.3")
    send(studio.left, type="keep", name=" odd ")
    assert studio.left.state["saved"] == [{"name": "odd", "count": 2}]
    studio.session.remove("model.layers[1]")
    studio.refresh()
    assert studio.desk.selection == ["model.layers.2"]  # the selection follows too
    send(studio.left, type="select", paths=[], mode="set")
    send(studio.left, type="recall", name="odd")
    assert studio.desk.selection == ["model.layers.2"]
    send(studio.left, type="forget", name="odd")
    assert studio.left.state["saved"] == []
