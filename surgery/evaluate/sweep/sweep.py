"""A sweep: what each of many edits would cost, on the same examples."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from surgery import fence
from surgery.devices import is_out_of_memory
from surgery.errors import SurgeryError
from surgery.evaluate.bench import Asked, Bench
from surgery.evaluate.evaluator import Progress
from surgery.evaluate.measure import Meter
from surgery.evaluate.sweep.report import Row, SweepReport, ranked, row_data, row_from
from surgery.evaluate.sweep.spread import Spread
from surgery.evaluate.sweep.sweeper import Make, Sweeper
from surgery.evaluate.tape import Place
from surgery.evaluate.tasks.register import tasks_of
from surgery.operation import Operation
from surgery.script import step_data
from surgery.stopping import Stopped

LEAST_BATCHES = 2
SHARE = 0.6
"""Of a forward, what a candidate costs on average where its edit lies anywhere in the model."""


class Sweep:
    """Measures `steps`, each alone on the original of `bench`.

    `make` gives a resolved step and the model it makes; `blocks` is the list whose blocks candidates share,
    None to run one after another; `spread` runs them on workers of Ray. With `resume`, a file, what was
    measured is kept there row by row, and a sweep of the same steps on the same model and examples goes on
    from it.
    """

    def __init__(
        self,
        bench: Bench,
        steps: Sequence[Operation],
        make: Make,
        *,
        blocks: str | None = None,
        spread: Spread | None = None,
        resume: Path | None = None,
        identity: str = "",
    ) -> None:
        self.bench, self.steps, self.make, self.blocks = bench, list(steps), make, blocks
        self.spread, self.resume, self.identity = spread, resume, identity

    def run(
        self,
        budget_s: float,
        tasks: Asked = None,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> SweepReport:
        """The report, within about `budget_s` seconds, two batches for each candidate at the least.

        Once `stop` is set, what was measured by then; Stopped if that is nothing.
        """
        began = time.perf_counter()
        with self.bench.at_work(stop) as check:
            asked = self.bench.tasks if tasks is None else tasks_of(tasks)
            meter, notes = self.bench.meter(self.bench.original, asked, None, check)
            kept, batches = self._kept()
            places = self._places(budget_s, meter, batches)
            left = [step for step in self.steps if _key(step) not in kept]
            sweeper = self.spread or Sweeper(self.bench, self.make, self.blocks)
            stopped, done = False, float(len(kept))
            read = sum(row.shared for row in kept.values())

            def told(rows: float) -> None:
                nonlocal done
                done = min(done + rows, float(len(self.steps)))
                if progress is not None:
                    progress(done / len(self.steps), f"{len(kept)} of {len(self.steps)} edits")

            try:
                with closing(sweeper.rows(left, places, meter, told)) as rows_of_steps:
                    for step, row in rows_of_steps:
                        kept[_key(step)] = row
                        self._keep(kept, len(places))
                        done = max(done, len(kept))
                        told(0)
            except Stopped:
                stopped = True
                if not any(row.figures for row in kept.values()):
                    raise
        if self.spread is not None and self.spread.note:
            notes.append(self.spread.note)
        rows = [kept[_key(step)] for step in self.steps if _key(step) in kept]
        if sweeper.writes:
            notes.append("The model writes into itself: edits ran by themselves, on models made anew.")
        return self._report(rows, places, time.perf_counter() - began, notes, stopped, read)

    # Inside -----------------------------------------------------------------------------------

    def _places(self, budget_s: float, meter: Meter, batches: int | None) -> list[Place]:
        """The batches that the budget has time for, by what the base takes for the first; or so many."""
        if not budget_s >= 0:
            raise SurgeryError("a budget is a time", got=f"{budget_s} s", expected="0 s or more")
        size, count = self.bench.batch_size, len(self.bench.examples)
        place = (0, min(size, count))
        began = time.perf_counter()
        try:
            with meter.original.interruptible(meter.check):
                meter.measured(self.bench.batch(place), place)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise SurgeryError(
                f"a batch of {size} does not fit into the memory of {self.bench.device}",
                hint='`evaluate` first, which finds the size that does, or `device="cpu"`',
            ) from error
        count_each = len(self.steps) if self.spread is None else self.spread.most(len(self.steps))
        one_s = SHARE * max(time.perf_counter() - began, 1e-6) * max(1, count_each)
        fitting = count if math.isinf(budget_s) else int(budget_s / one_s)
        if batches is None:
            batches = min(math.ceil(count / size), max(LEAST_BATCHES, fitting))
        return [(start, min(start + size, count)) for start in range(0, batches * size, size)]

    def _kept(self) -> tuple[dict[str, Row], int | None]:
        """The rows of an earlier run that was stopped, and its number of batches."""
        if self.resume is not None:
            fence.reading(self.resume)
        if self.resume is not None and not self.resume.parent.is_dir():
            raise SurgeryError("there is no such folder", path=str(self.resume.parent))
        if self.resume is None or not self.resume.exists():
            return {}, None
        try:
            data = json.loads(self.resume.read_text(encoding="utf-8"))
            identity, batches = data["identity"], int(data["batches"])
            found = {key: row_from(row) for key, row in data["rows"].items()}
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise SurgeryError("is no sweep that was stopped", path=str(self.resume)) from error
        if identity != self.identity:
            raise SurgeryError(
                "the sweep to go on with was of another model, of other examples or measured otherwise",
                path=str(self.resume),
                hint="another file",
            )
        return found, batches

    def _keep(self, rows: dict[str, Row], batches: int) -> None:
        if self.resume is None:
            return
        data = {
            "identity": self.identity,
            "batches": batches,
            "rows": {k: row_data(r) for k, r in rows.items()},
        }
        fence.writing(self.resume)
        partial = self.resume.with_name(f".{self.resume.name}.partial")
        partial.write_text(json.dumps(data), encoding="utf-8")
        os.replace(partial, self.resume)

    def _report(
        self,
        rows: list[Row],
        places: list[Place],
        seconds: float,
        notes: list[str],
        stopped: bool,
        read: int,
    ) -> SweepReport:
        found = list(notes)
        shared = [row for row in rows if row.shared]
        if shared:
            found.append(f"{len(shared)} of {len(rows)} edits shared a pass, {_how(shared, read)}.")
        if stopped:
            found.append(f"Stopped: {len(rows)} of {len(self.steps)} edits were measured.")
        return ranked(
            rows,
            self.bench,
            places[-1][1],
            seconds,
            notes=tuple(found),
            equal=all(row.equal is True for row in shared),
            stopped=stopped,
        )


def _how(shared: list[Row], read: int) -> str:
    """How near rows of a shared pass come to evaluations of their own, as far as their probes said;
    `read` of them are from the file of an earlier run.
    """
    unknown = sum(row.equal is None for row in shared)
    near = "equal up to rounding" if any(row.equal is False for row in shared) else "bit-equal"
    said = f"{near} to evaluations of their own"
    if unknown:
        said = f"nothing says how near {unknown} of them come to evaluations of their own"
        said += f"; the others are {near}" if unknown < len(shared) else ""
    return f"{said} ({read - unknown} as an earlier run found)" if read > unknown else said


def _key(step: Operation) -> str:
    return hashlib.sha256(json.dumps(step_data(step), sort_keys=True).encode()).hexdigest()[:16]
