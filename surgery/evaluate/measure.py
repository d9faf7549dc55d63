"""One batch measured: both models answer, and every task sums what it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Answer, Chunk, Wants, chunks
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.running import Runner
from surgery.evaluate.subject import Subject, shape_refusal
from surgery.evaluate.tape import Place
from surgery.evaluate.tasks.contract import AnswerTask, LogitsTask, Task
from surgery.evaluate.tasks.custom import Custom
from surgery.evaluate.tasks.generation import Generation


@dataclass
class Sums:
    """Sums of one task over a batch, (examples, columns) float64 each; `before` for one measured of each."""

    after: Tensor
    before: Tensor | None = None


@dataclass
class Kept:
    """What the original's own sums were, by task and place: of its answers nothing else is kept.

    A batch is known by where it starts and stops in the order of the examples: the same examples in smaller
    batches are measured again, so that both models always ran in the same batches.
    """

    sums: dict[tuple[Task, Place], Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Meter:
    """Measures `tasks` of an edited model beside the original, batch by batch.

    `pairs`: blocks by their path in the original and in the edited model. `check` is called between chunks.
    """

    tasks: Sequence[Task]
    subject: Subject
    pairs: tuple[tuple[str, str], ...]
    original: Runner
    edited: Runner
    kept: Kept
    check: Callable[[], None]

    @property
    def reads_logits_alone(self) -> bool:
        """Whether no task looks at anything else that a model gives."""
        return all(task.reads == "logits" for task in self.tasks)

    def measured(self, batch: Batch, place: Place) -> list[Sums]:
        """The sums of each task over the batch at `place`; nothing is kept of a batch that fails."""
        theirs = self.original.answer(batch, place, self._wants(0)) if self._asks_original(place) else None
        if self.edited is self.original and theirs is not None:
            ours = theirs
        else:
            ours = self.edited.answer(batch, place, self._wants(1))
        self._check_blocks(ours, theirs)
        found: dict[Task, Sums] = dict(self._of_logits(batch, place, ours, theirs))
        for task in self.tasks:
            if isinstance(task, AnswerTask):
                assert theirs is not None
                found[task] = Sums(task.sums(batch, ours, theirs).cpu().double())
            elif isinstance(task, Custom):
                found[task] = self._of_function(task, batch, place)
            self.check()
        for task, sums in found.items():
            if sums.before is not None:
                self.kept.sums[task, place] = sums.before
        return [found[task] for task in self.tasks]

    def _wants(self, side: int) -> Wants:
        """What is read of the original's answer (side 0) or of the edited model's (1)."""
        reads = {task.reads for task in self.tasks}
        written = [task.tokens for task in self.tasks if isinstance(task, Generation)]
        return Wants(
            logits="logits" in reads,
            hidden=tuple((pair[0], pair[side]) for pair in self.pairs) if "hidden" in reads else (),
            embedding="embedding" in reads,
            generation=max(written, default=0),
        )

    def _check_blocks(self, ours: Answer, theirs: Answer | None) -> None:
        """SurgeryError where a block has no hidden states: it was not called once, or not on all examples."""
        for answer, runner in ((ours, self.edited), (theirs, self.original)):
            for path, _ in self.pairs:
                if answer is not None and path not in answer.hidden:
                    raise SurgeryError(
                        f"{runner.whose} does not call it once on all examples, so nothing can be compared",
                        path=path,
                    )

    def _asks_original(self, place: Place) -> bool:
        """Whether the original must answer: something is compared with it, or its own part is not known."""
        return any(
            task.compares or (task, place) not in self.kept.sums
            for task in self.tasks
            if not isinstance(task, Custom)
        )

    def _of_logits(
        self, batch: Batch, place: Place, ours: Answer, theirs: Answer | None
    ) -> Iterator[tuple[Task, Sums]]:
        """Sums of the tasks on logits. Each chunk is made once for all of them."""
        tasks = [task for task in self.tasks if isinstance(task, LogitsTask)]
        expected = self.subject.logits
        if not tasks or expected is None:
            return
        for answer, runner in ((ours, self.edited), (theirs, self.original)):
            if answer is not None and answer.shape != expected:
                raise shape_refusal(runner.whose, answer.shape, expected)
        positions, classes = expected
        counts = {task: task.counted(batch, positions) for task in tasks}
        needed = torch.stack(list(counts.values())).any(0)
        after = {task: torch.zeros(len(batch), task.width + 1, dtype=torch.float64) for task in tasks}
        before = {task: self.kept.sums.get((task, place)) for task in tasks if not task.compares}
        new = {task: torch.zeros_like(after[task]) for task, known in before.items() if known is None}
        for places in chunks(needed, classes):
            self.check()
            logits, beside = _finite(ours.at(places), needed[:, places], self.edited.whose), None
            if theirs is not None:
                reference = logits if theirs is ours else theirs.at(places)
                beside = Chunk(batch, places, _finite(reference, needed[:, places], self.original.whose))
            chunk = Chunk(batch, places, logits, beside)
            for task in tasks:
                after[task] += task.sums(chunk, counts[task][:, places])
                if task in new and beside is not None:
                    new[task] += task.sums(beside, counts[task][:, places])
        for task in tasks:
            yield task, Sums(after[task], None if task.compares else new.get(task, before[task]))

    def _of_function(self, task: Custom, batch: Batch, place: Place) -> Sums:
        before = self.kept.sums.get((task, place))
        if before is None:
            before = task.sums(self.original.given(task.function, batch), batch, self.original.whose).cpu()
        if self.edited is self.original:
            return Sums(before, before)
        given = self.edited.given(task.function, batch)
        return Sums(task.sums(given, batch, self.edited.whose).cpu(), before)


def _finite(logits: Tensor, counts: Tensor, whose: str) -> Tensor:
    """The logits; SurgeryError where those that count are NaN or infinite."""
    low, high = logits.aminmax(dim=-1)  # NaN is both
    if bool((low.isfinite() & high.isfinite() | ~counts).all()):
        return logits
    nan, infinite = int(logits[counts].isnan().sum()), int(logits[counts].isinf().sum())
    raise SurgeryError(
        f"{whose} gives logits that are not numbers, so there is nothing to measure",
        got=f"{nan:,} NaN and {infinite:,} infinite of {logits[counts].numel():,}",
        expected="finite logits",
        hint="undo the last step, or evaluate in full precision with `exact=True`",
    )
