"""The loss that gradients are taken of: labels where there are some, else the next token."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from surgery.advise.case import Case
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.tasks.accuracy import IGNORED, Accuracy
from surgery.evaluate.tasks.perplexity import Perplexity
from surgery.evaluate.tasks.similarity import refuse_no_numbers


class Loss:
    """The cross-entropy of a case's model on its examples, in nats; SurgeryError where there is none."""

    def __init__(self, case: Case) -> None:
        self.runner, labels = case.runner, case.examples.labels
        try:
            (Perplexity() if labels is None else Accuracy()).fits(case.subject)
        except SurgeryError as error:
            why = error.problem.partition(": ")[2] or error.problem
            of = "no labels; of the next token: " if labels is None else ""
            raise SurgeryError(
                f"there is no loss to take: {of}{why}",
                path=error.path,
                got=error.got,
                expected=error.expected,
                hint=error.hint or "examples with labels: `tensors(inputs, labels)`",
            ) from None
        self.room = case.logits_room()

    def each(self, batch: Batch) -> Tensor:
        """The loss of each example (examples,), the mean over what counts in it; it can be differentiated."""
        logits = self.runner.passed(batch, whole=True)
        assert logits is not None  # it fits
        logits = logits.float()
        if logits.dim() == 2:
            logits = logits.unsqueeze(1)
        if batch.labels is not None:
            targets = batch.labels if batch.labels.dim() == 2 else batch.labels.unsqueeze(1)
            counted = targets != IGNORED
        else:
            ids, real, fresh = batch.ids, batch.real, batch.fresh
            assert ids is not None and real is not None and fresh is not None
            logits, targets = logits[:, :-1], ids[:, 1:]
            counted = real[:, :-1] & fresh[:, 1:]
        targets = torch.where(counted, targets, 0)
        nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        nats = torch.where(counted, nats.view(targets.shape), 0.0)
        refuse_no_numbers(nats.detach(), "losses")
        return nats.sum(1) / counted.sum(1).clamp_min(1)
