"""A step that measures something first: with a bar and Stop in the studio, and applied when it knows."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

import surgery
from tests.widgets.test_studio import select, send
from tests.zoo import ZOO
from widgets.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """The small Llama with data, its first block chosen."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.data = [inputs] * 3
    studio = Studio(session)
    select(studio, "model.layers.0")
    return studio


def draft(studio: Studio, **fields: Any) -> None:
    """Wanda on what is chosen, with these values."""
    send(studio.right, type="operation", name="wanda")
    for name, value in fields.items():
        send(studio.right, type="field", name=name, value=value)
    studio.background.settle(60)


def test_it_is_measured_with_a_bar_and_then_applied(studio: Studio) -> None:
    """The bar says what for and how far."""
    labels: list[str] = []
    shown = studio.errands.shown_on_top
    studio.errands.shown_on_top = lambda: (labels.append(str(studio.errands.evaluating)), shown())[1]
    draft(studio)
    send(studio.right, type="apply")
    studio.background.settle(60)
    assert [step.name for step in studio.session.steps] == ["wanda"]
    assert any("Measuring for wanda, 1 of 1 blocks" in label for label in labels)
    assert studio.errands.evaluating is None and studio.errands.notice is None
    assert not studio.session.steps[0].awaits_measure


def test_a_stop_leaves_everything_as_it_is(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The draft too."""
    begun, going = threading.Event(), threading.Event()
    real = studio.session.measured

    def slow(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert going.wait(60)
        return real(*args, **kwargs)

    monkeypatch.setattr(studio.session, "measured", slow)
    draft(studio)
    send(studio.right, type="apply")
    assert begun.wait(60) and studio.top.state["evaluating"]["label"] == "Measuring for wanda"
    send(studio.top, type="stop")
    going.set()
    studio.background.settle(60)
    assert studio.session.steps == () and studio.desk.draft is not None
    assert studio.errands.notice is not None and "stopped" in studio.errands.notice["text"]


def test_a_refusal_is_at_its_node(studio: Studio) -> None:
    """With the way out in the bar."""
    studio.session.data = [torch.zeros(2, 3)]
    draft(studio)
    send(studio.right, type="apply")
    studio.background.settle(60)
    assert studio.session.steps == () and studio.desk.alert is not None
    assert "cannot run a batch" in studio.errands.notice["text"]


def test_what_was_measured_of_a_state_is_not_applied_to_another(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody edited in a cell meanwhile."""
    real = studio.session.measured

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        if args[0].awaits_measure:
            studio.session.sparsify("model.layers[1]")
        return found

    monkeypatch.setattr(studio.session, "measured", meanwhile)
    draft(studio)
    send(studio.right, type="apply")
    studio.background.settle(60)
    assert [step.name for step in studio.session.steps] == ["sparsify"]
    assert "left meanwhile" in studio.errands.notice["text"]
