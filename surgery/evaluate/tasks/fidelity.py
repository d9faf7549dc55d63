"""Fidelity: how far a model's predictions moved from those of the model before surgery."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from surgery.evaluate.answer import Chunk
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.figure import Quantity
from surgery.evaluate.subject import Subject
from surgery.evaluate.tasks.contract import LogitsTask, everywhere, task, unfit


@task(title="Fidelity", source="Kullback and Leibler 1951")
class Fidelity(LogitsTask):
    """KL(original ‖ edited) in nats, and how often the likeliest answer is the one before surgery.

    Of each token, or of each example for a classifier; no labels are needed.
    """

    compares: ClassVar[bool] = True
    width: ClassVar[int] = 2

    def fits(self, subject: Subject) -> None:
        if subject.logits is None:
            raise unfit(
                self,
                "the model gives no logits per example or per token",
                "`tasks=['embedding']`, or the model with its head",
            )

    def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
        return (
            Quantity("agreement", "%", "higher", 1, perfect=100.0),
            Quantity("KL", "nats", "lower", 3, perfect=0.0),
        )

    def counted(self, batch: Batch, positions: int) -> Tensor:
        """Every position that is no padding."""
        return everywhere(batch, positions)

    def values(self, chunk: Chunk) -> Tensor:
        """Agreement (0 or 1) and nats."""
        original = chunk.original
        assert original is not None
        if original.logits is chunk.logits:
            return torch.stack(
                [torch.ones_like(chunk.logits[..., 0]), torch.zeros_like(chunk.logits[..., 0])], -1
            )
        before, after = original.log_probs, chunk.log_probs
        # Rounding can leave a divergence of -1e-8 where the two are all but equal.
        nats = torch.linalg.vecdot(before.exp(), before - after).clamp_min(0)
        agreed = original.likeliest == chunk.likeliest
        return torch.stack([agreed.float(), nats], -1)

    def figures(self, sums: Tensor) -> Tensor:
        agreed, nats, count = sums.unbind(-1)
        return torch.stack([100 * agreed / count, nats / count], -1)
