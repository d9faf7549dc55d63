"""A skeleton ready to run: what answers for it, its stations, and what it was before."""

from __future__ import annotations

from collections.abc import Hashable

from torch import nn

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Answer, Wants
from surgery.evaluate.bench import Bench
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.running import Runner
from surgery.evaluate.streamed.lockstep import Forward
from surgery.evaluate.streamed.stations import Call, stations
from surgery.evaluate.streamed.weights import Weights
from surgery.evaluate.tape import Place
from surgery.evaluate.tape.signature import signature
from surgery.evaluate.tape.values import Unsayable

READ = Wants(logits=True, embedding=True)
"""What is read of every answer: which tasks there are is known when the first have come."""


class Placed:
    """A model whose blocks wait for their weights; `runner` runs it. It is used for one pass."""

    def __init__(self, model: nn.Module, whose: str, bench: Bench, weights: Weights, call: Call) -> None:
        self.model, self.weights = model, weights
        for module in model.modules():
            module._buffers = {
                name: None if buffer is None else buffer.to(bench.device)
                for name, buffer in module._buffers.items()
            }
        self.runner = Runner(model, bench.device, exact=bench.exact, whose=whose)
        self.runner.join(bench.tape)
        self.stations = stations(model, weights, call)
        self._was = self._now()

    def forward(self, batch: Batch, place: Place) -> Forward:
        """A forward on a batch on the device, not begun."""
        return Forward(lambda: self.runner.answer(batch, None, READ), self.stations, place)

    def refuse_changed(self) -> None:
        """SurgeryError where the model wrote into itself: its batches ran side by side."""
        if self._now() != self._was:
            raise SurgeryError(
                f"{self.runner.whose} writes into itself while it runs, so its weights cannot be streamed",
                hint="opening it without `skeleton=True`",
            )

    def _now(self) -> Hashable:
        try:
            return signature(self.model).said
        except Unsayable:
            return None


class Answers:
    """Stands for a runner whose answers are there."""

    def __init__(self, whose: str, answers: dict[Place, Answer]) -> None:
        self.whose, self.answers = whose, answers

    def answer(self, batch: Batch, place: Place, wants: Wants) -> Answer:
        """The answer to the batch at `place`."""
        return self.answers[place]
