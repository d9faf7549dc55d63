"""What an evaluation measures: sums per example, so that anything can be resampled from them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from surgery.errors import SurgeryError
from surgery.evaluate.data import Batch

CHUNK = 8_000_000
"""Logits made float32 at a time: 32 MB, whatever the vocabulary."""


def nothing() -> None:
    """A check that never stops anything."""


@dataclass(frozen=True)
class Task(ABC):
    """A measure of a model's logits, token by token, summed per example.

    `columns` names what is summed; the number of tokens counted is the last of them.
    """

    columns: ClassVar[tuple[str, ...]]

    @abstractmethod
    def counted(self, batch: Batch) -> Tensor:
        """Which positions count, (examples, positions) bool; positions may be fewer than the window."""

    @abstractmethod
    def per_token(self, logits: Tensor, reference: Tensor | None, next_ids: Tensor | None) -> Tensor:
        """Values (…, columns - 1) of float32 logits (…, vocabulary); `next_ids` (…): the true next tokens."""

    def measure(
        self,
        logits: Tensor,
        reference: Tensor | None,
        batch: Batch,
        check: Callable[[], None] = nothing,
        whose: str = "the edited model",
    ) -> Tensor:
        """Sums per example, (examples, columns) float64 on the CPU.

        `logits` and `reference` (examples, window, vocabulary) of any float type; `check` is called
        between chunks. Raises SurgeryError for NaN or infinite logits at a position that counts.
        """
        counted = self.counted(batch)
        sums = torch.zeros(len(batch.ids), len(self.columns), dtype=torch.float64)
        sums[:, -1] = counted.sum(1).cpu()
        for rows, places in _chunks(counted.shape[0], counted.shape[1], logits.shape[-1]):
            check()
            counts = counted[rows, places]
            part = _finite(logits[rows, places].float(), counts, whose)
            against = None
            if reference is not None:
                against = _finite(reference[rows, places].float(), counts, "the model before surgery")
            following = batch.ids[:, 1:][rows, places] if counted.shape[1] < batch.ids.shape[1] else None
            values = self.per_token(part, against, following)
            values = torch.where(counts.unsqueeze(-1), values, torch.zeros_like(values))
            sums[rows, :-1] += values.sum(1).cpu().double()
        return sums


def _chunks(examples: int, positions: int, vocabulary: int) -> Iterator[tuple[slice, slice]]:
    """Slices of rows and positions of at most CHUNK logits (one position at the least)."""
    tokens = max(1, CHUNK // vocabulary)
    height, width = max(1, tokens // positions), min(tokens, positions)
    for row in range(0, examples, height):
        for place in range(0, positions, width):
            yield slice(row, row + height), slice(place, min(place + width, positions))


def _finite(logits: Tensor, counts: Tensor, whose: str) -> Tensor:
    if bool((torch.isfinite(logits).all(-1) | ~counts).all()):
        return logits
    nan, infinite = int(logits[counts].isnan().sum()), int(logits[counts].isinf().sum())
    raise SurgeryError(
        f"{whose} gives logits that are not numbers, so there is nothing to measure",
        got=f"{nan:,} NaN and {infinite:,} infinite of {logits[counts].numel():,}",
        expected="finite logits",
        hint="undo the last step, or evaluate in full precision with `exact=True`",
    )
