"""A skeleton ready to run: what answers for it, its gates, and what it was before."""

from __future__ import annotations

from collections.abc import Hashable

from graph.paths import is_below
from surgery.errors import SurgeryError
from surgery.evaluate.answer import Answer, Wants
from surgery.evaluate.bench import Bench
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.running import Runner
from surgery.evaluate.state import state
from surgery.evaluate.streamed.gates import Call, Gate, places, read_elsewhere, slots
from surgery.evaluate.streamed.lockstep import Forward
from surgery.evaluate.streamed.weights import Weights
from surgery.evaluate.tape import Place
from surgery.lazy import Held, Lazy
from surgery.stream.drawn import Drawn

READ = Wants(logits=True, embedding=True)
"""What is read of every answer: which tasks there are is known when the first have come."""


class Placed:
    """A model whose blocks wait for their weights; `runner` runs it. It is used for one pass."""

    def __init__(self, drawn: Drawn, whose: str, bench: Bench, weights: Weights, call: Call) -> None:
        model = drawn.model
        self.model, self.weights = model, weights
        weights.add(drawn.tensors)
        moved = {id(buffer): buffer.to(bench.device) for buffer in model.buffers()}
        weights.add((moved[id(buffer)], Held.of(buffer)) for buffer in list(model.buffers()))
        for module in model.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = moved[id(buffer)]
        self.runner = Runner(model, bench.device, exact=bench.exact, whose=whose)
        waited_at = places(model, drawn.graph)
        self.runner.join(bench.tape, waited_at)
        self.gates = [
            Gate(path, module, weights, call)
            for path, module in waited_at.items()
            if any(True for _ in slots(module, weights))
        ]
        for gate in self.gates:
            gate.module.__dict__["forward"] = gate
        self._kept = self._for_good(drawn)
        self._was = self._now()

    def forward(self, batch: Batch, place: Place) -> Forward:
        """A forward on a batch on the device, not begun."""
        return Forward(lambda: self.runner.answer(batch, None, READ), self.gates, place)

    def release(self) -> None:
        """Lets go of the tape, and of what was held for all of the pass."""
        self.runner.release()
        self.weights.done(self._kept)

    def refuse_changed(self) -> None:
        """SurgeryError where the model wrote into itself: its batches ran side by side."""
        if self._now() != self._was:
            raise SurgeryError(
                f"{self.runner.whose} writes into itself while it runs, so its weights cannot be streamed",
                hint="opening it without `skeleton=True`",
            )

    def _for_good(self, drawn: Drawn) -> list[Lazy]:
        """Fills what is read outside its gate; gives that, and what makes logits in the end."""
        elsewhere = read_elsewhere(self.model, drawn.graph, [gate.path for gate in self.gates])
        lazies = {self.weights.lazy(tensor): tensor for tensor in elsewhere}
        body = self.runner.body
        after = [] if body is None else [each for each in self.gates if not is_below(each.path, body)]
        outside = [lazy for lazy in lazies if lazy is not None]
        self.weights.refuse_large("(root)", outside)
        kept = list(dict.fromkeys([*outside, *(lazy for gate in after for lazy in gate.lazies)]))
        self.weights.expect(kept)
        tensors = self.weights.get(outside)
        for slot in slots(self.model, self.weights):
            if slot.lazy in tensors:
                slot.fill(tensors[slot.lazy])
        return kept

    def _now(self) -> Hashable:
        return state(self.model.modules())


class Answers:
    """Stands for a runner whose answers are there."""

    def __init__(self, whose: str, answers: dict[Place, Answer]) -> None:
        self.whose, self.answers = whose, answers

    def answer(self, batch: Batch, place: Place, wants: Wants) -> Answer:
        """The answer to the batch at `place`."""
        return self.answers[place]
