"""A sweep over a model that need not fit into memory: its weights pass by once, for all candidates."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from graph.units import short
from surgery.errors import SurgeryError
from surgery.evaluate.bench import Asked, Bench
from surgery.evaluate.evaluator import Progress
from surgery.evaluate.streamed.passing import Edited, Pass
from surgery.evaluate.streamed.weights import Weights
from surgery.evaluate.sweep.report import Row, SweepReport, ranked
from surgery.evaluate.tape import Place
from surgery.evaluate.tasks.contract import Task
from surgery.evaluate.tasks.register import tasks_of
from surgery.operation import Operation
from surgery.stream.drawn import Drawn, drawn

MOST = 128
"""Candidates of one pass; each keeps the hidden states of its batches until the end."""


class StreamedSweep:
    """Measures `steps`, each alone on the skeleton `original`, whose tensors `weights` knows.

    `make` draws the skeleton that a step makes. The weights of a block or two are there at a time, and the
    hidden states of every candidate.
    """

    def __init__(
        self,
        bench: Bench,
        original: Drawn,
        weights: Weights,
        steps: Sequence[Operation],
        make: Callable[[Operation], Drawn],
    ) -> None:
        self.bench, self.original, self.weights = bench, original, weights
        self.steps, self.make = list(steps), make

    def run(
        self,
        budget_s: float,
        tasks: Asked = None,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> SweepReport:
        """The report, on as many batches as about `budget_s` seconds of computing allow, two at the least.

        Reading comes on top. Stopped once `stop` is set: the candidates come to their ends together.
        """
        began = time.perf_counter()
        asked = self.bench.tasks if tasks is None else tasks_of(tasks)
        refuse_unstreamed(asked or ())
        groups = [self.steps[start : start + MOST] for start in range(0, len(self.steps), MOST)]
        rows, places, notes = list[Row](), None, self.bench.examples.notes
        with self.bench.at_work(stop) as check:
            for number, group in enumerate(groups):

                def told(share: float, before: int = number) -> None:
                    if progress is not None:
                        progress(
                            (before + share) / len(groups), f"{short(self.weights.read_bytes, 'B')} read"
                        )

                passed, found = self._rows(group, asked, places, budget_s, check, told)
                rows += found
                places, notes = passed.places, (*self.bench.examples.notes, *passed.notes)
        assert places is not None
        seconds = time.perf_counter() - began
        return ranked(rows, self.bench, places[-1][1], seconds, notes=(*notes, self.weights.said))

    def _rows(
        self,
        steps: Sequence[Operation],
        tasks: tuple[Task, ...] | None,
        places: Sequence[Place] | None,
        budget_s: float,
        check: Callable[[], None],
        told: Callable[[float], None],
    ) -> tuple[Pass, list[Row]]:
        """A row per step, in their order, and the pass that they shared."""
        before = self.original.parameters
        rows: dict[int, Row] = {}
        edited: dict[int, Edited] = {}
        after: dict[int, int] = {}
        for number, step in enumerate(steps):
            check()
            try:
                made = self.make(step)
            except SurgeryError as error:
                rows[number] = Row(step, (before, before), refused=str(error))
            else:
                edited[number], after[number] = Edited(made), made.parameters  # a pass takes it apart
        base = drawn(self.original.model, graph=self.original.graph)
        passed = Pass(self.bench, self.weights, base, list(edited.values()), tasks, check, told)
        passed.run(budget_s, places)
        for number, item in edited.items():
            figures, lost = passed.figures(item)
            refused = item.refused or (None if figures else " ".join(lost))
            step = item.drawn.steps[-1]
            rows[number] = Row(step, (before, after[number]), tuple(figures), refused)
        return passed, [rows[number] for number in range(len(steps))]


def refuse_unstreamed(tasks: Sequence[Task]) -> None:
    """SurgeryError for a task that needs more of a model than its logits and its embedding."""
    for task in tasks:
        if task.reads not in ("logits", "embedding"):
            raise SurgeryError(
                f"{task.name} cannot be measured while weights are streamed",
                expected="tasks on logits or embeddings",
                hint="opening the model without `skeleton=True`",
            )
