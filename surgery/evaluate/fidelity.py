"""Fidelity: how far a model's predictions moved from those of the model before surgery."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from surgery.evaluate.data import Batch
from surgery.evaluate.tasks import Task


@dataclass(frozen=True)
class Fidelity(Task):
    """KL(reference ‖ edited) in nats (Kullback and Leibler 1951), and whether the likeliest token agrees.

    Needs no labels: every real position counts.
    """

    columns: ClassVar[tuple[str, ...]] = ("nats", "agreed", "tokens")

    def counted(self, batch: Batch) -> Tensor:
        """All real positions."""
        return batch.real

    def per_token(self, logits: Tensor, reference: Tensor | None, next_ids: Tensor | None) -> Tensor:
        """Nats and agreement (0 or 1) per position, (…, 2)."""
        assert reference is not None
        before, after = reference.log_softmax(-1), logits.log_softmax(-1)
        # Rounding can leave a divergence of -1e-8 where the two are all but equal.
        nats = (before.exp() * (before - after)).sum(-1).clamp_min(0)
        agreed = reference.argmax(-1) == logits.argmax(-1)
        return torch.stack([nats, agreed.float()], -1)
