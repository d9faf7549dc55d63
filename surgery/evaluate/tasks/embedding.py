"""Embedding: whether what a model makes of an example as a whole is still the same."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from surgery.evaluate.answer import Answer
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.figure import Quantity
from surgery.evaluate.subject import Subject
from surgery.evaluate.tasks.contract import AnswerTask, Reads, task, unfit
from surgery.evaluate.tasks.similarity import cosines, refuse_no_numbers


@task(title="Embedding similarity", source="original")
class Embedding(AnswerTask):
    """The cosine of each example's embedding with its embedding before surgery.

    The model's own pooling where it has one, else the mean over real tokens or places of its last hidden
    states.
    """

    reads: ClassVar[Reads] = "embedding"

    def fits(self, subject: Subject) -> None:
        if not subject.embeds:
            raise unfit(self, "the model gives neither pooled output nor hidden states")

    def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
        return (Quantity("cosine of embeddings", "", "higher", 3, perfect=1.0),)

    def sums(self, batch: Batch, answer: Answer, reference: Answer) -> Tensor:
        """The cosine, and one."""
        ours, theirs = answer.embedding, reference.embedding
        assert ours is not None and theirs is not None
        refuse_no_numbers(ours, "the edited model: embeddings")
        refuse_no_numbers(theirs, "the model before surgery: embeddings")
        found = cosines(ours, theirs, "the embedding")
        return torch.stack([found, torch.ones_like(found)], 1)

    def figures(self, sums: Tensor) -> Tensor:
        return sums[..., :1] / sums[..., 1:]
