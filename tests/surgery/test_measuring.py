"""What a session measures is kept with the state it was measured of, each measure by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import surgery
from surgery.errors import SurgeryError
from surgery.session import Session
from surgery.show.states import points
from tests.zoo import llama


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """A small Llama without its second block."""
    session = surgery.open(*llama())
    session.remove("model.layers[1]")
    return session


class Hears:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.count = 0

    def hear(self) -> None:
        self.count += 1


def test_layers_stay_beside_the_report(session: Session) -> None:
    """A figure per block that is left, by what it was called; the evaluation is the one before."""
    report, heard = session.evaluate(0.1), Hears()
    session.history.watchers.add(heard.hear)
    layers = session.layers(0.1)
    state = session.history.current
    assert [figure.name for figure in layers.results] == [f"model.layers.{block}" for block in (0, 2, 3)]
    assert state.report is report and state.layers is layers and heard.count == 1
    assert session.history.base.layers is None


def test_speed_is_a_part_of_the_point(session: Session) -> None:
    """Of the state that was timed; the others have none."""
    session.evaluate(0.1)
    speed = session.speed(0.1)
    original, edited = points(session)
    assert session.history.current.speed is speed
    assert edited.peak_bytes == speed.peak_bytes[1] and original.peak_bytes is None
    last = speed.paces[-1]
    assert edited.latency_ms == pytest.approx(1000 * last.after_s / last.items)


def test_an_edit_during_a_sweep_does_not_get_its_figures(session: Session) -> None:
    """They belong to the state that the sweep began in, whatever is current when it ends."""
    began, before = threading.Event(), session.history.current

    def told(fraction: float, label: str) -> None:
        if not began.is_set():
            began.set()
            session.remove("model.layers[0]")

    swept = session.sweep("remove", "model.layers[*]", budget_s=0.1, progress=told)
    assert session.history.current is not before
    assert before.sweep is swept and session.history.current.sweep is None
    session.undo()


def test_a_skeleton_without_weights_has_no_layers_to_compare() -> None:
    """It says so, and nothing is kept."""
    model, inputs = llama()
    session = surgery.open(model.to("meta"), {name: value.to("meta") for name, value in inputs.items()})
    with pytest.raises(SurgeryError):
        session.layers(0.1)
    assert session.history.current.layers is None
