"""The contract of a task: typed fields, what it reads, sums per example, and figures from such sums."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Answer, Chunk
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.figure import Quantity
from surgery.evaluate.subject import Subject
from surgery.typed import Typed, declared

Reads = Literal["logits", "hidden", "embedding", "generation", "model"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(Typed, ABC):
    """What an evaluation measures. Subclasses of its kinds below are frozen dataclasses made with `@task`.

    It sums per example, so that anything can be resampled from the sums. `reads` says what of a model's
    answer it looks at. A task that `compares` gives figures of the two models side by side; any other is
    measured of each, and its figures are before and after.
    """

    reads: ClassVar[Reads]
    compares: ClassVar[bool] = False

    def fits(self, subject: Subject) -> None:
        """Raises SurgeryError, a sentence, where it cannot be measured of this model on these examples."""

    @abstractmethod
    def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
        """What it finds."""

    @abstractmethod
    def figures(self, sums: Tensor) -> Tensor:
        """Figures (…, quantities) from sums over examples (…, columns), float64 both, for any draw of them.

        With torch's differentiable functions, so that their standard errors can be told; infinite for what
        is no number.
        """


class LogitsTask(Task):
    """A task on logits, position by position; the number of positions that count is the last column."""

    reads: ClassVar[Reads] = "logits"
    width: ClassVar[int] = 1
    """Columns before the last."""

    @abstractmethod
    def counted(self, batch: Batch, positions: int) -> Tensor:
        """Which positions count, (examples, positions) bool."""

    @abstractmethod
    def values(self, chunk: Chunk) -> Tensor:
        """Values (examples, places, width) of the chunk's positions."""

    def sums(self, chunk: Chunk, counts: Tensor) -> Tensor:
        """Sums of a chunk (examples, width + 1) float64, on the CPU; `counts` (examples, places) bool."""
        values = torch.where(counts.unsqueeze(-1), self.values(chunk), 0.0)
        return torch.cat([values.sum(1).cpu().double(), counts.sum(1, keepdim=True).cpu().double()], 1)


class AnswerTask(Task):
    """A task on the rest of an answer: hidden states, embeddings, what was generated."""

    compares: ClassVar[bool] = True

    @abstractmethod
    def sums(self, batch: Batch, answer: Answer, reference: Answer) -> Tensor:
        """Sums per example (examples, columns) of both models' answers, any float type and device."""


def task(*, title: str, source: str) -> Any:
    """Makes a class a frozen keyword-only dataclass with title and source, as `operation` does."""
    return lambda cls: declared(cls, title=title, source=source)


def everywhere(batch: Batch, positions: int) -> Tensor:
    """All positions (examples, positions) that are no padding and no mere context, where these are tokens."""
    fresh = batch.fresh
    if fresh is not None and fresh.shape[1] == positions and "decoder_input_ids" not in batch.inputs:
        return fresh
    device = next(iter(batch.inputs.values())).device
    return torch.ones(len(batch), positions, dtype=torch.bool, device=device)


def unfit(task: Task, why: str, hint: str | None = None) -> SurgeryError:
    """The refusal of a task that does not fit."""
    return SurgeryError(f"{task.name} cannot be measured here: {why}", hint=hint)
