"""Evaluating and saving in the background: each has its own bar, and the newest evaluation counts."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any, cast

import pytest

import surgery
from surgery.evaluate import Stopped
from tests.zoo import llama
from widgets.background import Background
from widgets.desk import Desk
from widgets.errands import Errands
from widgets.saving import Saving
from widgets.theatre import Theatre


class Evaluations:
    """Stands for `session.evaluate`: each goes on as the test says, once it has begun."""

    def __init__(self) -> None:
        self.begun: Queue[SimpleNamespace] = Queue()

    def __call__(self, budget_s: float, *, progress: Any, stop: threading.Event, **asked: Any) -> Any:
        job = SimpleNamespace(progress=progress, stop=stop, asked=asked, ends=Queue())
        self.begun.put(job)
        return job.ends.get(timeout=60)()

    def next(self) -> Any:
        """The one that begins next."""
        return self.begun.get(timeout=60)


def stopped() -> None:
    """How an evaluation ends that was stopped."""
    raise Stopped()


def saving(errands: Errands) -> Saving:
    """The saves that show themselves as these errands do."""
    theatre = SimpleNamespace(errands=errands, session=errands.session, desk=Desk())
    return Saving(cast(Theatre, theatre))


@pytest.fixture
def evaluations() -> Evaluations:
    """What is asked of the session."""
    return Evaluations()


@pytest.fixture
def errands(evaluations: Evaluations, monkeypatch: pytest.MonkeyPatch) -> Errands:
    """The errands of a small session, whose evaluations do nothing by themselves."""
    made = Errands(surgery.open(*llama()), Background(), lambda: None, lambda: None)
    monkeypatch.setattr(made.session, "evaluate", evaluations)
    return made


def test_second_evaluation_keeps_its_bar(errands: Errands, evaluations: Evaluations) -> None:
    """The first one is stopped for it; its progress and its end are not the second's."""
    errands.evaluate(1)
    first = evaluations.next()
    errands.evaluate(2)
    assert first.stop.is_set() and errands.evaluating == {"label": "Evaluating", "fraction": 0.0}
    first.progress(0.1, "text")
    assert errands.evaluating == {"label": "Evaluating", "fraction": 0.0}
    first.ends.put(stopped)
    second = evaluations.next()
    second.progress(0.5, "text")
    assert errands.evaluating == {"label": "Evaluating, text", "fraction": 0.5}
    assert errands.notice is None and errands.measuring == "report"
    errands.stop()
    second.ends.put(stopped)
    errands.background.settle(60)
    assert second.stop.is_set() and errands.evaluating is None and errands.measuring is None
    assert errands.notice and errands.notice["text"] == "Evaluating: stopped."


def test_little_progress_is_not_shown(errands: Errands, evaluations: Evaluations) -> None:
    """It is told after every batch."""
    errands.evaluate(1)
    job = evaluations.next()
    for fraction in (0.2, 0.205, 0.3):
        job.progress(fraction, "text")
        assert errands.evaluating and errands.evaluating["fraction"] == (0.2 if fraction < 0.3 else 0.3)
    job.ends.put(lambda: None)
    errands.background.settle(60)


def test_evaluating_and_saving_do_not_clear_each_other(
    errands: Errands, evaluations: Evaluations, tmp_path: Path
) -> None:
    """Two bars, two ends."""
    errands.evaluate(1)
    saving(errands).script({"path": str(tmp_path / "a.json")})
    errands.background.wait("chore", 60)
    assert errands.saving is None and errands.evaluating is not None
    said = errands.notice
    held = threading.Event()
    errands.background.each("chore", lambda: held.wait(60), lambda _: None, lambda _: None)
    saving(errands).script({"path": str(tmp_path / "b.json")})
    evaluations.next().ends.put(lambda: None)
    errands.background.wait("measure", 60)
    assert errands.saving == "Saving b.json" and errands.evaluating is None
    held.set()
    errands.background.settle(60)
    assert errands.saving is None
    assert said and said["tone"] == "good"


def test_two_saves_are_both_made(errands: Errands, tmp_path: Path) -> None:
    """A save is not overtaken by the next."""
    for name in ("a.json", "b.json"):
        saving(errands).script({"path": str(tmp_path / name)})
    errands.background.settle(60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_save_that_breaks_ends_and_says_so(
    errands: Errands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is no refusal clears the bar too."""

    def broken(folder: object, overwrite: bool) -> Path:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(errands.session, "save", broken)
    saving(errands).model({"path": str(tmp_path / "out")})
    errands.background.settle(60)
    assert errands.saving is None
    assert errands.notice and "ZeroDivisionError: a bug" in errands.notice["text"]


def test_evaluation_that_cannot_start_says_so(errands: Errands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a bar without end, nor silence."""

    def broken(*values: object, **named: object) -> object:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(errands.session, "evaluate", broken)
    errands.evaluate(1)
    errands.background.settle(60)
    assert errands.evaluating is None
    assert errands.notice and "ZeroDivisionError: a bug" in errands.notice["text"]


def test_background_calls_done_or_failed_once() -> None:
    """Of overtaken previews neither; what `done` raises counts as failed."""
    background, seen = Background(), list[str]()
    held = threading.Event()

    def broken(_: object) -> None:
        raise ValueError("while drawing")

    background.latest("a", lambda: held.wait(60), lambda _: seen.append("first"), lambda _: None)
    background.latest("a", lambda: None, lambda _: seen.append("second"), lambda _: None)
    background.latest("b", lambda: None, broken, lambda error: seen.append(str(error)))
    held.set()
    background.settle(60)
    assert sorted(seen) == ["second", "while drawing"]
