"""Evaluates edited models against the model they came from, within a time budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from torch import nn

from surgery.devices import is_out_of_memory
from surgery.errors import SurgeryError
from surgery.evaluate.bench import Asked, Bench
from surgery.evaluate.device import free_memory
from surgery.evaluate.measure import Meter, Sums
from surgery.evaluate.report import Report
from surgery.evaluate.subject import real_tokens
from surgery.evaluate.tasks.contract import Task
from surgery.evaluate.tasks.register import tasks_of

Progress = Callable[[float, str], None]

_HALVED = "Out of memory: went on with batches of "


class Evaluator(Bench):
    """Measures what surgery cost: tasks of an edited model beside the `original`, on the same examples.

    Figures are paired example by example. One evaluation runs at a time. See Bench for what it is made of.
    """

    def evaluate(
        self,
        model: nn.Module,
        budget_s: float = 2.0,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
        *,
        tasks: Asked = None,
        origins: Mapping[str, str] | None = None,
    ) -> Report:
        """Compares `model` with the original on as many examples as `budget_s` seconds allow.

        At least two batches are measured where there are so many; `math.inf` takes all.
        `progress(fraction, label)` is called after each batch. `tasks` in place of the evaluator's.
        `origins`: where modules of the edited model, by their paths, were in the original, for tasks that
        compare blocks. Raises Stopped once `stop` is set, and SurgeryError for a model that cannot run, for a
        task that does not fit, and where what a model gives is no number.
        """
        if not budget_s >= 0:
            raise SurgeryError("a budget is a time", got=f"{budget_s} s", expected="0 s or more")
        asked = self.tasks if tasks is None else tasks_of(tasks)
        with self.at_work(stop) as check:
            told = progress or (lambda *_: None)
            report = self._evaluated(model, asked, origins, budget_s, told, check)
            if report is None:
                with self.without_tape():
                    report = self._evaluated(model, asked, origins, budget_s, told, check)
            assert report is not None
            return report

    def _evaluated(
        self,
        model: nn.Module,
        asked: tuple[Task, ...] | None,
        origins: Mapping[str, str] | None,
        budget_s: float,
        progress: Progress,
        check: Callable[[], None],
    ) -> Report | None:
        """The report; None where a block that was replayed turns out to write into itself."""
        began = time.perf_counter()
        try:
            meter, notes = self.meter(model, asked, origins, check)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise self.no_room() from error
            raise
        try:
            batches = self._batches(meter, budget_s, began, progress, notes)
            if not self.tape.held():
                return None
        finally:
            if meter.edited is not meter.original:
                meter.edited.release()
        return self.report(meter, batches, time.perf_counter() - began, notes)

    def _batches(
        self, meter: Meter, budget_s: float, began: float, progress: Progress, notes: list[str]
    ) -> list[list[Sums]]:
        """The sums of each task, batch after batch, until the budget is spent."""
        found, least, done = list[list[Sums]](), min(len(self.examples), 2 * self.batch_size), 0
        with ExitStack() as stack:
            for runner in dict.fromkeys([meter.original, meter.edited]):
                stack.enter_context(runner.interruptible(meter.check))
            for done, sums in self._measured(meter, notes):
                found.append(sums)
                spent = time.perf_counter() - began
                if done == len(self.examples) or (done >= least and spent >= budget_s):
                    break
                share = min(spent / budget_s if budget_s else 1.0, done / least)
                progress(min(0.99, max(share, done / len(self.examples))), self.examples.counting(done))
            progress(1.0, self.examples.counting(done))
        return found

    def _measured(self, meter: Meter, notes: list[str]) -> Iterator[tuple[int, list[Sums]]]:
        """How many examples are done and the sums of the batch that did it.

        Where memory runs out the tape is given up, and if that is not enough the batch is halved.
        """
        done, halved = 0, False
        while done < len(self.examples):
            meter.check()
            place = (done, min(done + self.batch_size, len(self.examples)))
            try:
                sums = meter.measured(self.batch(place), place)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if not self.tape.give_way():
                    if place[1] - done == 1:
                        raise self.no_room() from error
                    self.batch_size, halved = max(1, (place[1] - done) // 2), True
            else:
                done = place[1]
                if halved:
                    notes[:] = [note for note in notes if not note.startswith(_HALVED)]
                    notes.append(f"{_HALVED}{self.batch_size}.")
                    halved = False
                yield done, sums
                continue
            free_memory(self.device)

    def report(self, meter: Meter, batches: list[list[Sums]], seconds: float, notes: list[str]) -> Report:
        """The report of these sums, batch after batch, with these sentences."""
        done = sum(len(sums[0].after) for sums in batches)
        results, lost = self.figures(meter, batches)
        notes += lost
        if done == 1:
            notes.append(f"A single {self.examples.noun} has no interval.")
        if meter.edited.mixed:
            notes.append("Computed in bf16; `exact=True` keeps float32.")
        return Report(
            results=tuple(results),
            examples=done,
            noun=self.examples.noun,
            tokens=real_tokens(self.examples.batch(0, done)),
            seconds=seconds,
            device=str(self.device),
            data=self.examples.label,
            notes=tuple(notes),
        )
