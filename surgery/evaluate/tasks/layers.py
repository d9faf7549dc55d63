"""Layers: where in the model the edited one departs from the original."""

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


@task(title="Layers", source="original")
class Layers(AnswerTask):
    """The cosine of what each block gives with what it gave before surgery, by the block's first name.

    The mean over all positions that are no padding. Blocks are aligned by where they come from: one that was
    removed has none.
    """

    reads: ClassVar[Reads] = "hidden"

    def fits(self, subject: Subject) -> None:
        if not subject.blocks:
            raise unfit(self, "no blocks are known in this model, or none of them is left")

    def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
        return tuple(Quantity(path, "", "higher", 3, perfect=1.0) for path in subject.blocks)

    def sums(self, batch: Batch, answer: Answer, reference: Answer) -> Tensor:
        """A column per block with the example's mean cosine, then the number of examples: one."""
        columns = []
        for path, theirs in reference.hidden.items():
            states = answer.hidden[path]
            for whose, tensor in (("the edited model", states), ("the model before surgery", theirs)):
                refuse_no_numbers(_counting(batch, tensor), f"{whose}: hidden states after {path}")
            found, real = cosines(_vectors(states), _vectors(theirs), path), _real(batch, states)
            columns.append((found * real).sum(1) / real.sum(1))
        columns.append(torch.ones_like(columns[0]))
        return torch.stack(columns, 1)

    def figures(self, sums: Tensor) -> Tensor:
        return sums[..., :-1] / sums[..., -1:]


def _vectors(states: Tensor) -> Tensor:
    """Hidden states as vectors (examples, places, width); channels of images are their second dimension."""
    if states.dim() == 4:
        return states.flatten(2).transpose(1, 2)
    return states.unsqueeze(1) if states.dim() == 2 else states.flatten(1, -2)


def _real(batch: Batch, states: Tensor) -> Tensor:
    """Which places count, (examples, places) float."""
    fresh = batch.fresh
    if fresh is not None and states.dim() == 3 and states.shape[1] == fresh.shape[1] and bool(fresh.any()):
        # A window of which nothing is new has no mean: all of its real tokens count then.
        real = batch.real
        assert real is not None
        return torch.where(fresh.any(1, keepdim=True), fresh, real).float()
    return torch.ones(_vectors(states).shape[:2], device=states.device)


def _counting(batch: Batch, states: Tensor) -> Tensor:
    return _vectors(states)[_real(batch, states).bool()]
