"""What takes a while: measuring and saving, beside the kernel's thread, with progress and a notice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar

from surgery.errors import SurgeryError
from surgery.evaluate import Stopped
from surgery.evaluate.bench import Asked
from surgery.evaluate.evaluator import Progress
from surgery.session import Session
from widgets.background import Background

_log = logging.getLogger(__name__)

Notice = dict[str, Any]
Done = TypeVar("Done")

LEAST_TOLD = 0.01
"""Progress by less is not shown: it is told after every batch of every edit."""


class Errands:
    """Measures of a session, on `device`, and saves; `tasks` are what an evaluation measures, None as usual.

    One thing is measured at a time: `measuring` is which. `evaluating`, `saving` and `notice` are what the
    top bar shows, each by itself; `shown` draws all panels, `shown_on_top` that bar.
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
        self.measuring: str | None = None
        self.evaluating: dict[str, Any] | None = None
        self.notice: Notice | None = None
        self.budget_s, self.device = 2.0, "auto"
        self._stop = Event()
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
        """Evaluates the current state, or the one that is being made; what is being measured is stopped."""
        self.budget_s = allowed_s(budget_s)
        if not self.background.wait("session", 0):
            self.background.each(
                "session",
                lambda: None,
                lambda _: self._evaluate(),
                lambda error: self.say(notice_of(error)),
            )
        else:
            self._evaluate()

    def _evaluate(self) -> None:
        self.measure(
            "report",
            "Evaluating",
            lambda stop, tell: self.session.evaluate(
                self.budget_s, device=self.device, tasks=self.tasks, progress=tell, stop=stop
            ),
        )

    def measure(
        self,
        what: str,
        label: str,
        work: Callable[[Event, Progress], Done],
        said: Callable[[Done], Notice | None] = lambda result: None,
    ) -> None:
        """Takes a measure in place of what is being measured, which is stopped; then all panels are drawn.

        `work(stop, tell)` has the bar, under `label`, and Stop; `said` makes a notice of what it gives. What
        was stopped for something newer still ends, later: neither bar nor notice is its own then.
        """
        self.stop()
        self._stop = stop = Event()
        self.measuring, self.evaluating, self.notice = what, {"label": label, "fraction": 0.0}, None
        told = 0.0

        def tell(fraction: float, done: str) -> None:
            nonlocal told
            if self._stop is stop and fraction >= told + LEAST_TOLD:
                told = fraction
                self.evaluating = {"label": f"{label}, {done}", "fraction": fraction}
                self.shown_on_top()

        def end(notice: Notice | None) -> None:
            if self._stop is stop:
                self.measuring = self.evaluating = None
                self.notice = notice
            self.shown()

        def failed(error: Exception) -> None:
            stopped = {"text": f"{label}: stopped.", "tone": "good", "hint": None}
            end(stopped if isinstance(error, Stopped) else notice_of(error))

        self.shown()
        self.background.latest("measure", lambda: work(stop, tell), lambda result: end(said(result)), failed)

    def stop(self) -> None:
        """Stops what is being measured, if anything is."""
        self._stop.set()

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
            self.notice = notice
            self.shown()

        self.notice = None
        self.busy(label)
        self.background.each("chore", work, done, lambda error: ended(notice_of(error)))


def allowed_s(budget_s: float) -> float:
    """The time that a measure may be given, nearest to what was asked: a tenth of a second to an hour."""
    return min(max(budget_s, 0.1), 3600.0)


def notice_of(error: Exception) -> Notice:
    """What the top bar says of an error."""
    refusal = refusal_of(error)
    return {"text": refusal.sentence(with_hint=False), "tone": "bad", "hint": refusal.hint}


def refusal_of(error: Exception) -> SurgeryError:
    """The error itself if it is a refusal; any other is a bug: a sentence, and a line in the log."""
    if isinstance(error, SurgeryError):
        return error
    _log.error("the studio met an error that is no refusal", exc_info=error)
    return SurgeryError(f"it failed unexpectedly: {type(error).__name__}: {error}")
