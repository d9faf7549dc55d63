"""Pending edits: planned on what is seen, costed one after another, made together or not at all."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import surgery
from tests.widgets.test_studio import cells, select, send
from tests.zoo import ZOO
from widgets import theatre
from widgets.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """The studio on the small Llama of four blocks."""
    return Studio(surgery.open(*ZOO["llama"]()))


def plan(studio: Studio, operation: str, *paths: str, **fields: Any) -> None:
    """Drafts the operation on the paths and adds it to what is pending."""
    select(studio, *paths)
    send(studio.right, type="operation", name=operation)
    for name, value in fields.items():
        send(studio.right, type="field", name=name, value=value)
    studio.background.settle(60)
    send(studio.right, type="pend")
    studio.background.settle(60)


def pending(studio: Studio) -> Any:
    """What the inspector shows of it."""
    return studio.right.state["pending"]


def test_planned_edits_are_ghosts(studio: Studio) -> None:
    """Nothing is done yet; each has its cost, and together they have theirs."""
    plan(studio, "remove", "model.layers.1")
    plan(studio, "tie", "model.layers.2", "model.layers.3")
    plan(studio, "scale", "model.layers.0", factor=0.5)
    assert studio.session.steps == () and studio.right.state["form"] is None
    marks = {cell["path"]: cell["mark"] for cell in cells(studio)}
    assert (marks["model.layers.1"], marks["model.layers.0"]) == ("remove", "changed")
    assert [tie["ends"] for tie in studio.centre.state["ties"] if tie["pending"]] == [
        ["model.layers.2", "model.layers.3"]
    ]
    rows = pending(studio)["rows"]
    assert [row["change"]["text"] for row in rows] == ["−7.74 k", "−7.74 k", "unchanged"]
    assert pending(studio)["together"]["text"] == "−15.5 k" and pending(studio)["can_apply"]


def test_nothing_is_applied_that_was_not_costed(studio: Studio) -> None:
    """Whatever is drawn on the way: a list with a row without its cost has no Apply."""
    drawn: list[Any] = []
    studio.right.observe(lambda change: drawn.append(change["new"]["pending"]), "state")
    plan(studio, "remove", "model.layers.1")
    plan(studio, "scale", "model.layers.0", factor=0.5)
    lists = [found for found in drawn if found is not None]
    assert any(found["can_apply"] for found in lists)
    for found in lists:
        assert not found["can_apply"] or all(row["change"] for row in found["rows"])


def test_they_are_made_together(studio: Studio) -> None:
    """In their order, with the paths that each finds after those before it."""
    plan(studio, "remove", "model.layers.1")
    plan(studio, "tie", "model.layers.2", "model.layers.3")
    send(studio.right, type="pending_apply", evaluate=False)
    assert pending(studio) is None
    assert [step.name for step in studio.session.steps] == ["remove", "tie"]
    assert studio.session.steps[1].targets.paths == ("model.layers.2",)  # type: ignore[attr-defined]


def test_they_are_evaluated_together(studio: Studio) -> None:
    """Asked so, what they cost is measured once they are made."""
    plan(studio, "remove", "model.layers.1")
    send(studio.right, type="pending_apply", evaluate=True)
    studio.background.settle(60)
    assert studio.session.history.current.report is not None


def test_one_that_cannot_follow_is_refused_until_the_order_fits(studio: Studio) -> None:
    """A block that an earlier edit takes out cannot be scaled; the other way round it can."""
    plan(studio, "remove", "model.layers.1")
    plan(studio, "scale", "model.layers.1", factor=0.5)
    rows = pending(studio)["rows"]
    assert "is no longer there after" in rows[1]["error"] and not pending(studio)["can_apply"]
    send(studio.right, type="pending_apply", evaluate=False)
    assert studio.session.steps == ()
    send(studio.right, type="pending_move", id=rows[1]["id"], to=0)
    studio.background.settle(60)
    assert [row["error"] for row in pending(studio)["rows"]] == [None, None] and pending(studio)["can_apply"]


def test_they_follow_the_state(studio: Studio) -> None:
    """What is made meanwhile renames their modules; undone, they have the old names again."""
    plan(studio, "scale", "model.layers.3", factor=0.5)
    studio.session.remove("model.layers[0]")
    studio.refresh()
    studio.background.settle(60)
    assert [cell["path"] for cell in cells(studio) if cell["mark"] == "changed"] == ["model.layers.2"]
    studio.session.remove("model.layers[2]")
    studio.refresh()
    studio.background.settle(60)
    assert pending(studio)["rows"][0]["error"] == "what it is about is not in this state."
    send(studio.top, type="undo")
    studio.background.settle(60)
    send(studio.right, type="pending_apply", evaluate=False)
    assert studio.session.steps[-1].targets.paths == ("model.layers.2",)  # type: ignore[attr-defined]


def test_one_that_breaks_takes_the_others_back(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """All or none, and no half-made state is left in the history."""
    plan(studio, "remove", "model.layers.1")
    plan(studio, "scale", "model.layers.0", factor=0.5)
    apply = studio.session.apply

    def broken(step: Any) -> Any:
        if step.name == "scale":
            raise ZeroDivisionError("a bug")
        return apply(step)

    monkeypatch.setattr(studio.session, "apply", broken)
    send(studio.right, type="pending_apply", evaluate=False)
    studio.background.settle(60)
    assert studio.session.steps == () and len(list(studio.session.history)) == 1
    assert "ZeroDivisionError" in studio.top.state["notice"]["text"]
    assert len(pending(studio)["rows"]) == 2


def test_they_are_edited_and_dropped(studio: Studio) -> None:
    """One becomes the draft again; one goes; all go."""
    for path in ("model.layers.0", "model.layers.1", "model.layers.2"):
        plan(studio, "scale", path, factor=0.5)
    first, second, _ = (row["id"] for row in pending(studio)["rows"])
    send(studio.right, type="pending_edit", id=first)
    studio.background.settle(60)
    assert studio.right.state["dry_run"]["python"] == 's.scale("model.layers[0]", factor=0.5)'
    send(studio.right, type="pending_drop", id=second)
    assert [row["label"] for row in pending(studio)["rows"]] == ["scale layers[2] factor 0.5"]
    send(studio.right, type="pending_drop", id=None)
    assert pending(studio) is None


def slow_removal(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A block is being removed until the event is set, and gestures do not wait for it."""
    held, apply = threading.Event(), studio.session.apply
    select(studio, "model.layers.1")
    send(studio.centre, type="key", key="P")
    studio.background.settle(60)
    monkeypatch.setattr(theatre, "PATIENCE_S", 0.01)
    monkeypatch.setattr(studio.session, "apply", lambda step: held.wait(60) and apply(step))
    send(studio.right, type="apply")
    return held


def test_an_edit_is_made_once_however_often_it_is_asked_for(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is being made the next is refused: it was meant for the state that is being left."""
    held = slow_removal(studio, monkeypatch)
    assert studio.top.state["saving"] == "Applying remove"
    send(studio.right, type="apply")
    assert "still being made" in studio.top.state["notice"]["text"]
    send(studio.top, type="undo")
    held.set()
    studio.background.settle(60)
    assert len(studio.session.steps) == 1 and studio.top.state["saving"] is None


def test_what_is_measured_belongs_to_the_state_that_was_made(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluation that is asked for during an edit waits for it."""
    held = slow_removal(studio, monkeypatch)
    send(studio.top, type="evaluate", budget_s=0.3)
    assert studio.errands.measuring is None
    held.set()
    studio.background.settle(60)
    first, second = studio.session.history
    assert first.report is None and second.report is not None
