"""Evaluations in the background: one thread, the latest request wins."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from surgery.evaluate.bench import Asked
from surgery.evaluate.evaluator import Evaluator, Progress
from surgery.evaluate.report import Report
from surgery.evaluate.stopping import checker

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """One evaluation asked for; ends with exactly one call of on_done or on_error."""

    budget_s: float
    on_progress: Progress
    on_done: Callable[[Report], None]
    on_error: Callable[[Exception], None]
    tasks: Asked = None
    origins: Mapping[str, str] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Asks the evaluation to stop; on_error then gets Stopped."""
        self.stopping.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits up to `timeout` seconds for the end, callbacks included; whether it was reached."""
        return self.ended.wait(timeout)


class Worker:
    """Runs evaluations of `evaluator` in one daemon thread; a new one stops the one before it.

    The thread ends when nothing waits, so that a worker nobody holds keeps no model alive.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._lock = threading.Lock()
        self._waiting: list[tuple[Job, nn.Module]] = []
        self._latest: Job | None = None
        self._thread: threading.Thread | None = None

    def submit(
        self,
        model: nn.Module,
        budget_s: float = 2.0,
        on_progress: Progress = lambda fraction, label: None,
        on_done: Callable[[Report], None] = lambda report: None,
        on_error: Callable[[Exception], None] = lambda error: None,
        *,
        tasks: Asked = None,
        origins: Mapping[str, str] | None = None,
    ) -> Job:
        """Evaluates `model` as it is now; later edits to it do not show. `tasks` and `origins` as there.

        The callbacks run in the worker's thread; on_error also gets Stopped. Raises SurgeryError
        for a model that cannot be taken apart.
        """
        snapshot = self.evaluator.snapshot(model)
        job = Job(budget_s, on_progress, on_done, on_error, tasks, origins)
        with self._lock:
            if self._latest is not None:
                self._latest.stop()
            self._latest = job
            self._waiting.append((job, snapshot))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="surgery-evaluate", daemon=True)
                self._thread.start()
        return job

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = self._latest = None
                    return
                job, model = self._waiting.pop(0)
            self._run(job, model)
            job.ended.set()

    def _run(self, job: Job, model: nn.Module) -> None:
        try:
            try:
                report = self.evaluator.evaluate(
                    model,
                    job.budget_s,
                    job.on_progress,
                    job.stopping,
                    tasks=job.tasks,
                    origins=job.origins,
                )
                checker(job.stopping)()
            except Exception as error:
                job.on_error(error)
            else:
                job.on_done(report)
        except Exception:
            log.exception("a callback of an evaluation failed")
