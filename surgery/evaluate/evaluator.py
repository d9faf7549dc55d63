"""Evaluates edited models against the model they came from, within a time budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Wants
from surgery.evaluate.blocks import aligned, block_paths
from surgery.evaluate.data.examples import Examples
from surgery.evaluate.device import free_memory, is_out_of_memory, resolve
from surgery.evaluate.measure import Kept, Meter, Sums
from surgery.evaluate.placing import Placer, structural
from surgery.evaluate.report import Report
from surgery.evaluate.running import Runner
from surgery.evaluate.statistics import LEAST_DOCUMENTS
from surgery.evaluate.stopping import checker
from surgery.evaluate.subject import Subject, looked_at, real_tokens
from surgery.evaluate.summary import summarised
from surgery.evaluate.tasks.contract import Task
from surgery.evaluate.tasks.register import tasks_of
from surgery.evaluate.tasks.usual import usual_tasks

BATCH = 8
"""Examples per batch, unless the logits of so many would be too large; of small images more."""
MOST, NUMBERS = 64, 100_000
"""The most examples per batch, and the numbers that a batch of small ones should hold."""
LOGITS_BYTES = 512_000_000
"""The most that one batch's logits may take, in float32, where a model gives them whole."""

Progress = Callable[[float, str], None]
Asked = Iterable[Task | str | Callable[..., Any]] | None
"""Tasks, their names, or functions of a model and a batch; None for the usual ones."""


class Evaluator:
    """Measures what surgery cost: tasks of an edited model beside the `original`, on the same examples.

    The given models are never touched: each runs on a structural shell. The original's own sums are kept,
    batch by batch, so figures are paired example by example. One evaluation runs at a time. `exact` keeps
    float32 models in float32 on CUDA, `seed` draws the bootstrap.
    """

    def __init__(
        self,
        original: nn.Module,
        *,
        examples: Examples,
        device: str | torch.device = "auto",
        tasks: Asked = None,
        seed: int = 0,
        exact: bool = False,
    ) -> None:
        self.original, self.examples, self.seed, self.exact = original, examples, seed, exact
        self.device = resolve(device)
        self.tasks = None if tasks is None else tasks_of(tasks)
        self.batch_size = _batch_size(examples)
        self._placer = Placer(self.device)
        self._runner: Runner | None = None
        self._subject: Subject | None = None
        self._blocks: tuple[str, ...] | None = None
        self._kept = Kept()
        self._lock = threading.Lock()

    def snapshot(self, model: nn.Module) -> nn.Module:
        """A shell of `model` as it is now, to be evaluated later; the original stays itself."""
        return model if model is self.original else structural(model)

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
        with self._lock, torch.no_grad(), _random_state_kept(self.device):
            began, check = time.perf_counter(), checker(stop)
            check()
            try:
                meter, notes = self._meter(model, asked, origins, check)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise self._no_room() from error
                raise
            batches = self._batches(meter, budget_s, began, progress or (lambda *_: None), notes)
            return self._report(meter, batches, time.perf_counter() - began, notes)

    def _meter(
        self,
        model: nn.Module,
        asked: tuple[Task, ...] | None,
        origins: Mapping[str, str] | None,
        check: Callable[[], None],
    ) -> tuple[Meter, list[str]]:
        """What measures `model`, once every task is known to fit, and sentences for the report."""
        original, subject = self._prepared()
        notes: tuple[str, ...] = ()
        if asked is None:
            asked, notes = usual_tasks(subject)
        pairs: tuple[tuple[str, str], ...] = ()
        if any(task.reads == "hidden" for task in asked):
            called = self._called()
            pairs = tuple(pair for pair in aligned(self.original, model, origins) if pair[0] in called)
            subject = replace(subject, blocks=tuple(path for path, _ in pairs))
        for task in asked:
            task.fits(subject)
        edited = original if model is self.original else self._placed(model, "the edited model")
        meter = Meter(asked, subject, pairs, original, edited, self._kept, check)
        return meter, [*self.examples.notes, *notes]

    def _prepared(self) -> tuple[Runner, Subject]:
        """The original, placed, and what it says to the first example."""
        if self._runner is None:
            shell = self._placer.place(self.original, remember=True)
            self._runner = Runner(shell, self.device, exact=self.exact, whose="the model before surgery")
        if self._subject is None:
            self._subject = looked_at(self._runner, self.examples)
            if not self._subject.sliced and self._subject.logits is not None:
                one_bytes = 4 * self._subject.positions * self._subject.classes
                self.batch_size = max(1, min(self.batch_size, LOGITS_BYTES // one_bytes))
        return self._runner, self._subject

    def _called(self) -> Container[str]:
        """The blocks of the original that are called once, and so have hidden states of their own."""
        if self._blocks is None:
            original, _ = self._prepared()
            one = self.examples.batch(0, 1).to(self.device)
            wants = Wants(hidden=tuple((path, path) for path in block_paths(self.original)))
            self._blocks = tuple(original.answer(one, (0, 1), wants).hidden)
        return self._blocks

    def _placed(self, model: nn.Module, whose: str) -> Runner:
        return Runner(self._placer.place(model), self.device, exact=self.exact, whose=whose)

    def _no_room(self) -> SurgeryError:
        return SurgeryError(
            f"one {self.examples.noun} does not fit into the memory of {self.device}",
            hint='smaller examples, or `device="cpu"`',
        )

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
        """How many examples are done and the sums of the batch that did it; halves where memory runs out."""
        done, halved = 0, False
        while done < len(self.examples):
            meter.check()
            stop = min(done + self.batch_size, len(self.examples))
            try:
                sums = meter.measured(self.examples.batch(done, stop).to(self.device), (done, stop))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if stop - done == 1:
                    raise self._no_room() from error
                self.batch_size, halved = max(1, (stop - done) // 2), True
            else:
                done = stop
                if halved:
                    notes[:] = [note for note in notes if not note.startswith(_HALVED)]
                    notes.append(f"{_HALVED}{self.batch_size}.")
                    halved = False
                yield done, sums
                continue
            free_memory(self.device)

    def _report(self, meter: Meter, batches: list[list[Sums]], seconds: float, notes: list[str]) -> Report:
        done = sum(len(sums[0].after) for sums in batches)
        documents = self.examples.documents
        if documents is not None:
            documents = documents[self.examples.order[:done]]
            if done > 1 and len(documents.unique()) < LEAST_DOCUMENTS:
                notes.append(_FEW_TEXTS)
        results = []
        for place, task in enumerate(meter.tasks):
            figures, lost = summarised(
                task, [sums[place] for sums in batches], meter.subject, documents, seed=self.seed
            )
            results += figures
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


_HALVED = "Out of memory: went on with batches of "
_FEW_TEXTS = "The windows are of few texts and are taken to be independent."


def _batch_size(examples: Examples) -> int:
    if examples.noun == "window":
        return BATCH
    one = sum(value[0].numel() for value in examples.inputs.values())
    return max(BATCH, min(MOST, NUMBERS // one))


def _random_state_kept(device: torch.device) -> AbstractContextManager[None]:
    """Puts the random state back at the end, for a model that draws even in evaluation mode.

    On the main thread only: elsewhere it would put back what the user's own thread drew meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return torch.random.fork_rng(devices=[device.index] if device.type == "cuda" else [])
