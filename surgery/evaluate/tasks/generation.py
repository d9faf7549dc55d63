"""Generation: whether a model still writes what it wrote."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from surgery.evaluate.answer import Answer
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.figure import Quantity
from surgery.evaluate.subject import Subject
from surgery.evaluate.tasks.contract import AnswerTask, Reads, task, unfit
from surgery.fields import option


@task(title="Generation", source="original")
class Generation(AnswerTask):
    """How many of the tokens that greedy decoding gives, with the cache, come before the first other one.

    Both models continue the first half of each window; in per cent of `tokens`.
    """

    reads: ClassVar[Reads] = "generation"

    tokens: int = option(16, help="tokens that both models write", minimum=1, maximum=1024)

    def fits(self, subject: Subject) -> None:
        if subject.examples.noun != "window" or not subject.generates:
            raise unfit(self, "it needs token windows and a model that generates")
        room = subject.room
        if room is not None and room <= self.tokens:
            raise unfit(
                self, f"the model has {room} positions, and {self.tokens} tokens leave none to begin with"
            )

    def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
        return (Quantity("greedy tokens alike", "%", "higher", 1, perfect=100.0),)

    def sums(self, batch: Batch, answer: Answer, reference: Answer) -> Tensor:
        """Tokens before the first that differs, and tokens written."""
        ours, theirs = answer.tokens, reference.tokens
        assert ours is not None and theirs is not None
        same = (ours[:, : self.tokens] == theirs[:, : self.tokens]).long().cumprod(1).sum(1)
        return torch.stack([same, torch.full_like(same, self.tokens)], 1)

    def figures(self, sums: Tensor) -> Tensor:
        return 100 * sums[..., :1] / sums[..., 1:]
