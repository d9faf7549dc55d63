"""What takes a while: evaluating and saving, beside the kernel's thread, with progress and a notice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from surgery.errors import SurgeryError
from surgery.evaluate import Job, Report, Stopped, Worker
from surgery.session import Session
from widgets.background import Background

_log = logging.getLogger(__name__)

Notice = dict[str, Any]


class Errands:
    """Evaluations and saves of a session.

    `busy` and `notice` are what the top bar shows; `shown` draws all panels, `shown_on_top` that bar.
    """

    def __init__(
        self,
        session: Session,
        background: Background,
        shown: Callable[[], None],
        shown_on_top: Callable[[], None],
    ) -> None:
        self.session, self.background, self.shown, self.shown_on_top = (
            session,
            background,
            shown,
            shown_on_top,
        )
        self.worker: Worker | None = None
        self.job: Job | None = None
        self.busy: dict[str, Any] | None = None
        self.notice: Notice | None = None
        self.budget_s = 2.0

    def say(self, notice: Notice | None) -> None:
        """Shows a notice, or takes it away."""
        self.notice = notice
        self.shown_on_top()

    def evaluate(self, budget_s: float) -> None:
        """Starts an evaluation of the current state in the worker's thread; a running one is stopped."""
        self.budget_s = min(max(budget_s, 0.1), 3600.0)
        state = self.session.history.current
        self._busy("Evaluating", 0.0, stoppable=True)

        def progress(fraction: float, label: str) -> None:
            if self.busy is not None:
                self._busy(f"Evaluating, {label}", fraction, stoppable=True)

        def done(report: Report) -> None:
            state.report, self.busy, self.notice = report, None, None
            self.shown()

        def failed(error: Exception) -> None:
            self.busy = None
            self.say(notice_of(error))

        try:
            if self.worker is None:
                self.worker = Worker(self.session.evaluator())
            self.job = self.worker.submit(self.session.model, self.budget_s, progress, done, failed)
        except SurgeryError as error:
            failed(error)

    def stop(self) -> None:
        """Stops the evaluation that is running, if there is one."""
        if self.job is not None:
            self.job.stop()

    def save(self, what: str, path: str) -> None:
        """Writes the `script` or the `model` to a path; the notice says where, and its fingerprint."""

        def work() -> Notice:
            try:
                if not path.strip():
                    raise SurgeryError("a path is needed to save to")
                with self.session.lock:
                    script = self.session.script
                    place = script.write(path) if what == "script" else self.session.save(path)
                hint = f"fingerprint {script.result}"
                return {"text": f"{what.capitalize()} saved to {place}", "tone": "good", "hint": hint}
            except SurgeryError as error:
                return notice_of(error)

        def done(notice: Notice) -> None:
            self.busy = None
            self.say(notice)

        self._busy(f"Saving {Path(path).name}", None, stoppable=False)
        self.background.latest("save", work, done)

    def _busy(self, label: str, fraction: float | None, *, stoppable: bool) -> None:
        self.busy = {"label": label, "fraction": fraction, "stoppable": stoppable}
        self.shown_on_top()


def notice_of(error: Exception) -> Notice:
    """What the top bar says of an error; one that is no refusal is logged too."""
    if isinstance(error, Stopped):
        return {"text": "Evaluation stopped.", "tone": "good", "hint": None}
    if isinstance(error, SurgeryError):
        return {"text": error.sentence(with_hint=False), "tone": "bad", "hint": error.hint}
    _log.error("an errand failed", exc_info=error)
    return {"text": f"It failed: {error}", "tone": "bad", "hint": None}
