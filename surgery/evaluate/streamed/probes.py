"""What is to be known of a model before anything is measured, asked while its weights pass by."""

from __future__ import annotations

from typing import Any, cast

import torch

from surgery.evaluate.answer import Answer, Wants
from surgery.evaluate.data.examples import Batch, Examples
from surgery.evaluate.running import Runner
from surgery.evaluate.subject import Subject, changed_later, looked_at
from surgery.evaluate.tape import Place


class Probes:
    """The batches that `looked_at` shows a model, and what it gave."""

    def __init__(self, examples: Examples, runner: Runner) -> None:
        self.examples, self.runner = examples, runner
        one = examples.batch(0, 1).to(runner.device)
        changed = None if one.ids is None or examples.noise else changed_later(one)
        self.batches = [one] if changed is None else [one, changed[0]]
        self.answers: dict[int, Answer] = {}

    @property
    def are_answered(self) -> bool:
        """Whether all answers have come."""
        return len(self.answers) == len(self.batches)

    def subject(self) -> Subject:
        """What the answers say of the model. Raises SurgeryError where it cannot be shown these examples."""
        return looked_at(cast(Runner, self), self.examples)

    # As a runner ------------------------------------------------------------------------------

    @property
    def model(self) -> Any:
        """The model that was asked."""
        return self.runner.model

    @property
    def device(self) -> torch.device:
        """Where it ran."""
        return self.runner.device

    @property
    def is_single(self) -> bool:
        """Whether it computes in float32."""
        return self.runner.is_single

    def takes(self, name: str) -> bool:
        """Whether the forward has an argument called `name`."""
        return self.runner.takes(name)

    def answer(self, batch: Batch, place: Place | None, wants: Wants) -> Answer:
        """The answer to one of the batches."""
        asked = batch.ids
        for number, known in enumerate(self.batches):
            if asked is None or known.ids is None or torch.equal(known.ids, asked):
                return self.answers[number]
        raise LookupError("a batch that was not asked")
