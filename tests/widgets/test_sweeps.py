"""What would each block cost: asked on the canvas, answered by the session's own sweep."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import surgery
from surgery.script import step_data
from tests.widgets.test_studio import send
from tests.zoo import ZOO
from widgets.drafts import draft_of
from widgets.studio import Studio
from widgets.sweeps import OFFERED


@pytest.fixture
def studio() -> Studio:
    """The studio on the small Llama of four blocks."""
    model, inputs = ZOO["llama"]()
    return Studio(surgery.open(model, inputs))


def ask(studio: Studio) -> Any:
    """What the canvas shows of the question."""
    return studio.centre.state["ask"]


def test_asking_colours_the_strip_and_offers_the_best(studio: Studio) -> None:
    """The same rows as `session.sweep`; the best is a draft with a dry run, and nothing is applied."""
    assert ask(studio)["operation"] == "remove" and ask(studio)["best"] is None
    send(studio.centre, type="sweep", operation="remove", budget_s=0.2)
    studio.background.settle(60)
    assert studio.top.state["evaluating"] is None and studio.top.state["notice"] is None
    assert set(studio.centre.state["scores"]) == {f"model.layers.{number}" for number in range(4)}
    report = studio.session.history.current.sweep
    assert report is not None and studio.centre.state["legend"]["title"] == f"{report.by} after remove"
    by_code = studio.session.sweep("remove", "model.layers[*]", budget_s=0.2)
    assert {str(step_data(row.step)) for row in report} == {str(step_data(row.step)) for row in by_code}

    studio.refresh()
    best = by_code[0].step.targets.paths[0]  # type: ignore[attr-defined]
    assert ask(studio)["best"] == f"remove {best.removeprefix('model.')}"
    send(studio.centre, type="take_best")
    studio.background.settle(60)
    assert studio.desk.selection == [best] and len(studio.session.steps) == 0
    assert studio.right.state["dry_run"]["python"] == f's.remove("{best}")'
    send(studio.right, type="apply")
    assert len(studio.session.steps) == 1 and ask(studio)["best"] is None


@pytest.mark.parametrize("operation", OFFERED)
def test_whatever_is_offered_can_be_swept_and_taken(studio: Studio, operation: str) -> None:
    """The draft is the very step that was measured best."""
    send(studio.centre, type="sweep", operation=operation, budget_s=0.1)
    studio.background.settle(120)
    assert studio.top.state["notice"] is None
    best = studio.sweeps.best()
    assert best is not None and best.name == operation
    send(studio.centre, type="take_best")
    studio.background.settle(60)
    assert studio.right.state["form"]["can_apply"]
    assert draft_of(best).step().resolved(studio.session.patient) == best
    send(studio.right, type="apply")
    assert len(studio.session.steps) == 1


def test_progress_and_stop(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar of the top says how far it is; Stop ends it, says so, and the control can be used again."""
    told, swept = list[Any](), studio.session.sweep
    began = threading.Event()

    def slow(*given: Any, progress: Any, stop: threading.Event, **fields: Any) -> Any:
        def tell(fraction: float, label: str) -> None:
            progress(fraction, label)
            told.append(studio.top.state["evaluating"])
            began.set()
            stop.wait(60)

        return swept(*given, progress=tell, stop=stop, **fields)

    monkeypatch.setattr(studio.session, "sweep", slow)
    send(studio.centre, type="sweep", operation="remove", budget_s=0.1)
    assert began.wait(60)
    assert ask(studio)["running"]
    send(studio.top, type="stop")
    studio.background.settle(60)
    assert 0 < told[0]["fraction"] < 1
    assert told[0]["label"].startswith("What would it cost to remove each, ")
    assert (
        studio.top.state["notice"]["text"]
        .lower()
        .startswith(("stopped", "what would it cost to remove each: stopped"))
    )
    assert studio.top.state["evaluating"] is None and not ask(studio)["running"]


def test_an_evaluation_takes_the_place_of_a_sweep(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thing is measured at a time, the newest; the bar is its own."""
    stopped = threading.Event()

    def endless(*_: Any, stop: threading.Event, **__: Any) -> Any:
        assert stop.wait(60)
        stopped.set()
        raise surgery.SurgeryError("too late to be said")

    monkeypatch.setattr(studio.session, "sweep", endless)
    send(studio.centre, type="sweep", operation="remove", budget_s=1)
    send(studio.top, type="evaluate", budget_s=0.2)
    assert stopped.wait(60)
    studio.background.settle(60)
    assert "too late" not in str(studio.top.state["notice"])
    assert studio.report.state["sentence"] and not ask(studio)["running"]


def test_a_refusal_is_said(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every edit refused, or a bug: a notice, and no bar without end."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(studio.session, "sweep", broken)
    send(studio.centre, type="sweep", operation="remove", budget_s=1)
    studio.background.settle(60)
    assert "ZeroDivisionError: a bug" in studio.top.state["notice"]["text"]
    assert studio.top.state["evaluating"] is None and not ask(studio)["running"]


def test_nothing_is_asked_where_there_is_nothing_to_ask(studio: Studio) -> None:
    """Without blocks, without weights, or of what is not offered."""
    model, inputs = ZOO["siamese"]()
    assert ask(Studio(surgery.open(model, inputs))) is None
    send(studio.centre, type="sweep", operation="no_such", budget_s=1)
    send(studio.centre, type="take_best")
    assert studio.top.state["evaluating"] is None and studio.desk.draft is None


def test_evaluations_and_sweeps_measure_the_chosen_tasks() -> None:
    """Those that the studio was opened with, blocks compared by where they came from."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    studio = Studio(session, tasks=["layers", "fidelity"])
    session.remove("model.layers[1]")
    send(studio.top, type="evaluate", budget_s=0.2)
    studio.background.settle(60)
    report = session.history.current.report
    assert report is not None and {figure.task for figure in report.results} == {"layers", "fidelity"}
    assert any(figure.name.startswith("model.layers.3") for figure in report.results)
