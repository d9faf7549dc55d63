"""Perplexity: how surprised a model is by the next token."""

from __future__ import annotations

import torch
from torch import Tensor

from surgery.evaluate.answer import Chunk
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.figure import Quantity
from surgery.evaluate.subject import Subject
from surgery.evaluate.tasks.contract import LogitsTask, task, unfit

HIGHEST_NATS = 600.0
"""Beyond this mean loss the perplexity is no longer a number in double precision."""


@task(title="Perplexity", source="Jelinek et al. 1977")
class Perplexity(LogitsTask):
    """The exponential of the mean surprise, in nats, of each token given those before it in its window.

    A token counts where it and the one before it are real, and where no other window counts it.
    """

    def fits(self, subject: Subject) -> None:
        """Refused without tokens, without a logit per token, on noise, and where a model looks ahead."""
        examples = subject.examples
        if not subject.per_token:
            raise unfit(self, "it needs token windows, and a model that predicts a token at each")
        if examples.noise:
            raise unfit(self, "nothing can be predicted in random tokens", "a text of yours")
        if subject.looks_ahead:
            raise unfit(self, "the model looks ahead, so it has no perplexity")
        whole = examples.batch(0, len(examples))
        counted = self.counted(whole, subject.positions)
        if not bool(counted.any()):
            raise unfit(self, "no window has two real tokens side by side", "a longer text")

    def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
        return (Quantity("perplexity", "", "lower", 2),)

    def counted(self, batch: Batch, positions: int) -> Tensor:
        """Positions whose next token counts; never the last."""
        real, fresh = batch.real, batch.fresh
        assert real is not None and fresh is not None
        return torch.nn.functional.pad(real[:, :-1] & fresh[:, 1:], (0, 1))

    def values(self, chunk: Chunk) -> Tensor:
        """Nats of the next token; of the last position of a window, which never counts, of any."""
        ids = chunk.batch.ids
        assert ids is not None
        following = ids[:, (chunk.places + 1).clamp_max(ids.shape[1] - 1)]
        return -chunk.log_probs.gather(-1, following.unsqueeze(-1))

    def figures(self, sums: Tensor) -> Tensor:
        nats = sums[..., :1] / sums[..., 1:]
        return torch.where(nats > HIGHEST_NATS, torch.inf, nats.clamp_max(HIGHEST_NATS).exp())
