"""Evaluating and saving in the background: each has its own bar, and the newest evaluation counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
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


class FakeWorker:
    """Takes evaluations, and lets the test say how each goes on."""

    def __init__(self) -> None:
        self.jobs: list[SimpleNamespace] = []

    def submit(
        self, model: object, budget_s: float, *callbacks: Callable[..., None], **asked: object
    ) -> SimpleNamespace:
        progress, done, failed = callbacks
        job = SimpleNamespace(progress=progress, done=done, failed=failed, stop=lambda: None, asked=asked)
        self.jobs.append(job)
        return self.jobs[-1]


def saving(errands: Errands) -> Saving:
    """The saves that show themselves as these errands do."""
    theatre = SimpleNamespace(errands=errands, session=errands.session, desk=Desk())
    return Saving(cast(Theatre, theatre), lambda state: None)


@pytest.fixture
def errands() -> Errands:
    """The errands of a small session, with a worker that does nothing by itself."""
    made = Errands(surgery.open(*llama()), Background(), lambda: None, lambda: None)
    made.worker = FakeWorker()  # type: ignore[assignment]
    return made


def jobs(errands: Errands) -> list[Any]:
    """What was asked of the worker."""
    return errands.worker.jobs  # type: ignore[union-attr]


def test_second_evaluation_keeps_its_bar(errands: Errands) -> None:
    """The first one's end, which the second brought about, is not the second's."""
    errands.evaluate(1)
    errands.evaluate(2)
    first, second = jobs(errands)
    second.progress(0.5, "text")
    first.progress(0.1, "text")
    first.failed(Stopped())
    assert errands.evaluating == {"label": "Evaluating, text", "fraction": 0.5}
    assert errands.notice is None
    second.failed(Stopped())
    assert errands.evaluating is None
    assert errands.notice and errands.notice["text"] == "Evaluation stopped."


def test_report_of_an_overtaken_evaluation_is_kept(errands: Errands) -> None:
    """It is true of the state it measured, though the bar is another's."""
    errands.evaluate(1)
    errands.evaluate(2)
    first, _ = jobs(errands)
    report: Any = object()
    first.done(report)
    assert errands.session.history.base.report is report
    assert errands.evaluating is not None


def test_evaluating_and_saving_do_not_clear_each_other(errands: Errands, tmp_path: Path) -> None:
    """Two bars, two ends."""
    errands.evaluate(1)
    saving(errands).script({"path": str(tmp_path / "a.json")})
    errands.background.settle(60)
    assert errands.saving is None and errands.evaluating is not None
    said = errands.notice
    held = threading.Event()
    errands.background.each("save", lambda: held.wait(60), lambda _: None, lambda _: None)
    saving(errands).script({"path": str(tmp_path / "b.json")})
    jobs(errands)[0].done(object())
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

    monkeypatch.setattr(errands.worker, "submit", broken)
    errands.evaluate(1)
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
