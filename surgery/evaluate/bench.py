"""What models are measured on: a device, examples, the original beside them, and the tape."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Wants
from surgery.evaluate.blocks import aligned, block_paths
from surgery.evaluate.data.examples import Batch, Examples
from surgery.evaluate.figure import Figure
from surgery.evaluate.measure import Kept, Meter, Sums
from surgery.evaluate.placing import placer
from surgery.evaluate.running import Runner
from surgery.evaluate.state import state
from surgery.evaluate.statistics import LEAST_DOCUMENTS
from surgery.evaluate.subject import Subject, looked_at
from surgery.evaluate.summary import summarised
from surgery.evaluate.tape import Place, Tape
from surgery.evaluate.tape.signature import place_of
from surgery.evaluate.tape.tape import setting_now
from surgery.evaluate.tape.values import Unsayable
from surgery.evaluate.tasks.contract import Task
from surgery.evaluate.tasks.register import tasks_of
from surgery.evaluate.tasks.usual import usual_tasks
from surgery.stopping import checker

BATCH = 8
"""Examples per batch, unless the logits of so many would be too large; of small images more."""
MOST, NUMBERS = 64, 100_000
"""The most examples per batch, and the numbers that a batch of small ones should hold."""
LOGITS_BYTES = 512_000_000
"""The most that one batch's logits may take, in float32, where a model gives them whole."""
TAPE_BYTES = 2_000_000_000
"""The most that a tape keeps on the device, unless an eighth of its memory is less; as much beside it."""

Asked = Iterable[Task | str | Callable[..., Any]] | None
"""Tasks, their names, or functions of a model and a batch; None for the usual ones."""


class Bench:
    """The `original` and the `examples` on a `device`, ready for models to be measured beside it.

    The given models are never touched: each runs on a structural shell. The original's own sums are kept,
    batch by batch, and what unchanged blocks give is kept on a tape, up to `tape_bytes` on the device and as
    much on the host of an accelerator; 0 for none. `exact` keeps float32 models in float32 on CUDA, `seed`
    draws the bootstrap.
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
        tape_bytes: int | None = None,
    ) -> None:
        self.original, self.examples, self.seed, self.exact = original, examples, seed, exact
        self._placer = placer(device, original)
        self.device = self._placer.device
        self.tasks = None if tasks is None else tasks_of(tasks)
        self.batch_size = usual_batch_size(examples)
        limit_bytes = usual_tape_bytes(self.device) if tape_bytes is None else tape_bytes
        self.tape = Tape(self.device, limit_bytes, limit_bytes)
        self.kept = Kept()
        self._runner: Runner | None = None
        self._subject: Subject | None = None
        self._blocks: tuple[str, ...] | None = None
        self._marks: Hashable = None
        self._state: Hashable = None
        self._lock = threading.Lock()

    def touch(self) -> None:
        """Forgets what was computed: weights were changed in a way that torch keeps no count of."""
        with self._lock:
            self._forget()

    @contextmanager
    def at_work(self, stop: threading.Event | None) -> Iterator[Callable[[], None]]:
        """Within, models are measured, by one at a time; gives what raises Stopped once `stop` is set."""
        with self._lock, torch.no_grad(), random_state_kept(self.device):
            check = checker(stop)
            check()
            marks = _marks(self.original)
            if marks is None or marks != self._marks or not self.is_as_placed():
                self._forget()
            self._marks = marks
            self.tape.begin()
            yield check

    @contextmanager
    def without_tape(self) -> Iterator[None]:
        """Within, everything runs, on shells made anew: a module had written into itself."""
        self._forget()
        self.tape.is_off = True
        try:
            yield
        finally:
            self._forget()
            self.tape.is_off = False

    def is_as_placed(self) -> bool:
        """Whether no forward since its first has written into the original's shell.

        If one has, what the original gives hangs on what was measured before.
        """
        return (
            self._subject is None
            or self._runner is None
            or state(self._runner.model.modules()) == self._state
        )

    def meter(
        self,
        model: nn.Module,
        asked: tuple[Task, ...] | None,
        origins: Mapping[str, str] | None,
        check: Callable[[], None],
    ) -> tuple[Meter, list[str]]:
        """What measures `model`, once every task is known to fit, and sentences for the report."""
        original, subject = self._prepared(check)
        notes: tuple[str, ...] = ()
        if asked is None:
            asked, notes = usual_tasks(subject)
        pairs: tuple[tuple[str, str], ...] = ()
        if any(task.reads == "hidden" for task in asked):
            called = self._called(check)
            pairs = tuple(pair for pair in aligned(self.original, model, origins) if pair[0] in called)
            subject = replace(subject, blocks=tuple(path for path, _ in pairs))
        for task in asked:
            task.fits(subject)
        edited = original if model is self.original else self.runner(model, "the edited model")
        meter = Meter(asked, subject, pairs, original, edited, self.kept, check)
        return meter, [*self.examples.notes, *notes]

    def runner(self, model: nn.Module, whose: str, *, taped: bool = True) -> Runner:
        """`model` on a shell of its own on the device; `release` it in the end."""
        tape, first = self.tape if taped else None, model is self.original
        placed = self._placer.place(model, remember=first)
        return Runner(placed, self.device, exact=self.exact, whose=whose, tape=tape)

    def batch(self, place: Place) -> Batch:
        """The examples at `place`, on the device."""
        return self.examples.batch(*place).to(self.device)

    def figures(self, meter: Meter, batches: Sequence[Sequence[Sums]]) -> tuple[list[Figure], list[str]]:
        """The figures of each task from its sums, batch after batch, and sentences on what is no number."""
        done = sum(len(sums[0].after) for sums in batches)
        documents, found, lost = self.examples.documents, list[Figure](), list[str]()
        if documents is not None:
            documents = documents[self.examples.order[:done]]
            if done > 1 and len(documents.unique()) < LEAST_DOCUMENTS:
                lost.append("The windows are of few texts and are taken to be independent.")
        for number, task in enumerate(meter.tasks):
            sums = [batch[number] for batch in batches]
            figures, sentences = summarised(task, sums, meter.subject, documents, seed=self.seed)
            found += figures
            lost += sentences
        return found, lost

    def no_room(self) -> SurgeryError:
        """The refusal where a single example is too large."""
        return SurgeryError(
            f"one {self.examples.noun} does not fit into the memory of {self.device}",
            hint='smaller examples, or `device="cpu"`',
        )

    def _prepared(self, check: Callable[[], None]) -> tuple[Runner, Subject]:
        """The original, placed, and what it says to the first example."""
        if self._runner is None:
            shell = self._placer.place(self.original, remember=True)
            whose = "the model before surgery"
            self._runner = Runner(shell, self.device, exact=self.exact, whose=whose, tape=self.tape)
        if self._subject is None:
            with self._runner.interruptible(check):
                self._subject = looked_at(self._runner, self.examples)
            self._state = state(self._runner.model.modules())  # a first call may settle something
            if not self._subject.sliced and self._subject.logits is not None:
                one_bytes = 4 * self._subject.positions * self._subject.classes
                self.batch_size = max(1, min(self.batch_size, LOGITS_BYTES // one_bytes))
        return self._runner, self._subject

    def _called(self, check: Callable[[], None]) -> Container[str]:
        """The blocks of the original that are called once, and so have hidden states of their own."""
        if self._blocks is None:
            original, _ = self._prepared(check)
            wants = Wants(hidden=tuple((path, path) for path in block_paths(self.original)))
            with original.interruptible(check):
                self._blocks = tuple(original.answer(self.batch((0, 1)), None, wants).hidden)
        return self._blocks

    def _forget(self) -> None:
        if self._runner is not None:
            self._runner.release()
        self._runner = self._subject = self._blocks = None
        self._placer = self._placer.anew()
        self.kept.sums.clear()
        self.tape.forget()


def _marks(model: nn.Module) -> Hashable | None:
    """The memory and version of every tensor of a model, and what else its figures hang on; None where a
    tensor keeps no count of writes.
    """
    try:
        tensors = (*model.parameters(), *model.buffers())
        return (setting_now(), *(place_of(tensor) for tensor in tensors))
    except Unsayable:
        return None


def usual_batch_size(examples: Examples) -> int:
    """How many examples go through a model at a time, if memory allows."""
    if examples.noun == "window":
        return BATCH
    one = sum(value[0].numel() for value in examples.inputs.values())
    return max(BATCH, min(MOST, NUMBERS // one))


def usual_tape_bytes(device: torch.device) -> int:
    """The usual limit of a tape: an eighth of the memory, and no more than TAPE_BYTES."""
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
    elif hasattr(os, "sysconf"):
        free_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        return TAPE_BYTES // 4
    return min(TAPE_BYTES, free_bytes // 8)


def random_state_kept(device: torch.device) -> AbstractContextManager[None]:
    """Puts the random state back at the end, for a model that draws even in evaluation mode.

    On the main thread only: elsewhere it would put back what the user's own thread drew meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return torch.random.fork_rng(devices=[device.index] if device.type == "cuda" else [])
