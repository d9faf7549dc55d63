"""Perplexity: how surprised a model is by the next token."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from surgery.evaluate.data import Batch
from surgery.evaluate.tasks import Task


@dataclass(frozen=True)
class Perplexity(Task):
    """Negative log-likelihood in nats of each token given those before it in its window.

    A token counts where it and the one before it are real. Perplexity is the exponential of
    the token-weighted mean (Jelinek et al. 1977).
    """

    columns: ClassVar[tuple[str, ...]] = ("nats", "tokens")

    def counted(self, batch: Batch) -> Tensor:
        """All positions but the last, where both the token and its successor are real."""
        real = batch.real
        return real[:, 1:] & real[:, :-1]

    def per_token(self, logits: Tensor, reference: Tensor | None, next_ids: Tensor | None) -> Tensor:
        """Nats per token, (…, 1)."""
        assert next_ids is not None
        chosen = logits.gather(-1, next_ids.unsqueeze(-1))
        return logits.logsumexp(-1, keepdim=True) - chosen
