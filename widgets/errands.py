"""What takes a while: evaluating and saving, beside the kernel's thread, with progress and a notice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from surgery.errors import SurgeryError
from surgery.evaluate import Job, Report, Stopped, Worker
from surgery.evaluate.bench import Asked
from surgery.session import Session
from widgets.background import Background

_log = logging.getLogger(__name__)

Notice = dict[str, Any]
Done = TypeVar("Done")


class Errands:
    """Evaluations and saves of a session; `tasks` are what is measured, None for the usual.

    `evaluating`, `saving` and `notice` are what the top bar shows, each by itself; `shown` draws all
    panels, `shown_on_top` that bar.
    """

    def __init__(
        self,
        session: Session,
        background: Background,
        shown: Callable[[], None],
        shown_on_top: Callable[[], None],
    ) -> None:
        self.session, self.background = session, background
        self.shown, self.shown_on_top = shown, shown_on_top
        self.tasks: Asked = None
        self.worker: Worker | None = None
        self.job: Job | None = None
        self.evaluating: dict[str, Any] | None = None
        self.notice: Notice | None = None
        self.budget_s = 2.0
        self._asked = 0
        self._stop: Callable[[], None] = lambda: None
        self._chores: list[str] = []

    @property
    def saving(self) -> str | None:
        """What is being written or opened; None if nothing is."""
        return self._chores[0] if self._chores else None

    def say(self, notice: Notice | None) -> None:
        """Shows a notice, or takes it away."""
        self.notice = notice
        self.shown_on_top()

    def evaluate(self, budget_s: float) -> None:
        """Starts an evaluation of the current state in the worker's thread; a running one is stopped."""
        self.budget_s = min(max(budget_s, 0.1), 3600.0)
        if not self.background.wait("session", 0):  # of the state that is being made
            self.background.each("session", lambda: None, lambda _: self._evaluate(), self._said)
        else:
            self._evaluate()

    def _said(self, error: Exception) -> None:
        self.say(notice_of(error))

    def _evaluate(self) -> None:
        if self.session.is_skeleton:
            self._evaluate_streamed()
        else:
            self._evaluate_here()

    def _evaluate_streamed(self) -> None:
        """Of a model whose weights are read while they are needed; refused where there are none."""
        stop = threading.Event()
        number = self.begin("Evaluating", stop.set)

        def progress(fraction: float, label: str) -> None:
            self.tell(number, fraction, f"Evaluating, {label}")

        def done(_: Report) -> None:
            self.end(number)
            self.shown()

        def failed(error: Exception) -> None:
            if self.end(number):
                self.say(notice_of(error))

        self.background.latest(
            "evaluate",
            lambda: self.session.evaluate(self.budget_s, tasks=self.tasks, progress=progress, stop=stop),
            done,
            failed,
        )

    def _evaluate_here(self) -> None:
        with self.session.lock:
            state, model, origins = self.session.history.current, self.session.model, self.session.origins
        number = self.begin("Evaluating", lambda: self.job.stop() if self.job is not None else None)

        def progress(fraction: float, label: str) -> None:
            self.tell(number, fraction, f"Evaluating, {label}")

        def done(report: Report) -> None:
            state.report = report
            self.end(number)
            self.shown()

        def failed(error: Exception) -> None:
            if self.end(number):
                self.say(notice_of(error))

        try:
            if self.worker is None:
                self.worker = Worker(self.session.evaluator())
            self.job = self.worker.submit(
                model,
                self.budget_s,
                progress,
                done,
                failed,
                tasks=self.tasks,
                origins=origins,
            )
        except Exception as error:
            failed(error)

    def stop(self) -> None:
        """Stops what is being measured, if anything is."""
        self._stop()

    # What was stopped for something newer still ends, later: the bar is no longer its own then.

    def begin(self, label: str, stop: Callable[[], None]) -> int:
        """Something begins to be measured, in place of what still is: it has the bar. Its number."""
        self.stop()
        self._asked, self._stop = self._asked + 1, stop
        self.evaluating, self.notice = {"label": label, "fraction": 0.0}, None
        self.shown_on_top()
        return self._asked

    def tell(self, number: int, fraction: float, label: str) -> None:
        """How far it is."""
        if number == self._asked:
            self.evaluating = {"label": label, "fraction": fraction}
            self.shown_on_top()

    def end(self, number: int) -> bool:
        """It has ended: the bar goes; False if something newer has it."""
        if number == self._asked:
            self.evaluating = None
        return number == self._asked

    def busy(self, label: str) -> None:
        """Something that cannot be stopped has begun elsewhere; `idle` ends it."""
        self._chores.append(label)
        self.shown_on_top()

    def idle(self, label: str) -> None:
        """It is done."""
        self._chores.remove(label)
        self.shown_on_top()

    def chore(self, label: str, work: Callable[[], Done], said: Callable[[Done], Notice | None]) -> None:
        """What cannot be stopped: `label` is shown until `work` is done, then what `said` makes of it."""

        def done(result: Done) -> None:
            ended(said(result))

        def ended(notice: Notice | None) -> None:
            self._chores.remove(label)
            self.say(notice)

        self.notice = None
        self.busy(label)
        self.background.each("chore", work, done, lambda error: ended(notice_of(error)))


def notice_of(error: Exception) -> Notice:
    """What the top bar says of an error."""
    if isinstance(error, Stopped):
        return {"text": "Evaluation stopped.", "tone": "good", "hint": None}
    refusal = refusal_of(error)
    return {"text": refusal.sentence(with_hint=False), "tone": "bad", "hint": refusal.hint}


def refusal_of(error: Exception) -> SurgeryError:
    """The error itself if it is a refusal; any other is a bug: a sentence, and a line in the log."""
    if isinstance(error, SurgeryError):
        return error
    _log.error("the studio met an error that is no refusal", exc_info=error)
    return SurgeryError(f"it failed unexpectedly: {type(error).__name__}: {error}")
