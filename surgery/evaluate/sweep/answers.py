"""What the base of a sweep gives, for all candidates that are compared with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from surgery.evaluate.answer import Answer, Wants
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.running import Runner
from surgery.evaluate.tape import Place

SHARED_BYTES = 256_000_000
"""Of the base's logits, what is kept for the candidates to be compared with."""


class Same:
    """A runner that answers a batch once: what it gave is kept for all candidates.

    `is_heavy`: it gave logits whole, and more of them than the limit.
    """

    def __init__(self, runner: Runner, limit_bytes: int) -> None:
        self.runner, self.whose, self.limit_bytes = runner, runner.whose, limit_bytes
        self.is_heavy = False
        self._answers: dict[Any, Answer] = {}

    def answer(self, batch: Batch, place: Place, wants: Wants) -> Answer:
        """The answer to this batch, its logits kept up to the limit."""
        if (place, wants) not in self._answers:
            found = self.runner.answer(batch, place, wants)
            if found.shape is not None and not found.sliced:
                size_bytes = 4 * len(batch) * found.shape[0] * found.shape[1]
                self.is_heavy = self.is_heavy or size_bytes > self.limit_bytes
            self._answers[place, wants] = remembering(found, self.limit_bytes)
        return self._answers[place, wants]

    def given(self, function: Any, batch: Batch) -> Any:
        """What a function of the user's gives."""
        return self.runner.given(function, batch)


def remembering(answer: Answer, limit_bytes: int) -> Answer:
    """The answer with its logits kept once they were made, up to a limit."""
    kept: dict[tuple[int, int], Tensor] = {}
    used = 0

    def at(places: Tensor) -> Tensor:
        nonlocal used
        key = (int(places[0]), len(places))
        if key in kept:
            return kept[key]
        found = answer.at(places)
        if used + found.nbytes <= limit_bytes:
            kept[key], used = found, used + found.nbytes
        return found

    return replace(answer, at=at) if answer.shape is not None else answer
