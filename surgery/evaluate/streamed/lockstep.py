"""Many forwards side by side, block by block, so that weights are read once for all of them.

Each forward runs in a thread of its own, as it is written, and waits at every gate; one runs at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from surgery.evaluate.stepped import Stepped, stepped_here
from surgery.evaluate.streamed.gates import Gate
from surgery.evaluate.streamed.weights import Weights
from surgery.evaluate.tape import Place
from surgery.lazy import Lazy
from surgery.stopping import Stopped


class Forward(Stepped[Gate]):
    """One forward: `work` passes `gates`, each once as a rule, and waits `at` each.

    Those of one `place` are of the same batch. `same` as long as it went the way of the model they were made
    from.
    """

    def __init__(self, work: Callable[[], Any], gates: Sequence[Gate], place: Place) -> None:
        super().__init__(work)
        self.place = place
        self.left = dict.fromkeys(gates)
        self.same = True
        self.tensors: dict[Lazy, Tensor] = {}

    def wait(self, gate: Gate) -> dict[Lazy, Tensor]:
        """In its own thread: waits until it may pass a gate; gives the weights."""
        self.stop_at(gate)
        return self.tensors


def forward_here() -> Forward | None:
    """The forward whose thread this is."""
    here = stepped_here()
    return here if isinstance(here, Forward) else None


class Lockstep:
    """Runs forwards side by side. `check` raises Stopped; `ended` is told of each that came to its end."""

    def __init__(self, weights: Weights, check: Callable[[], None], ended: Callable[[Forward], None]) -> None:
        self.weights, self.check, self.ended = weights, check, ended
        self.waiting: list[Forward] = []
        self.running: list[Forward] = []
        self.moved: Callable[[], None] = lambda: None
        """Told before weights are read, when all forwards that could go on have."""

    def expect(self, forwards: Sequence[Forward]) -> None:
        """These will be started or dropped: until then what they need is kept."""
        for forward in forwards:
            for gate in forward.left:
                self.weights.expect(gate.lazies)
        self.waiting += forwards

    def start(self, forwards: Sequence[Forward]) -> None:
        """Lets these begin; they are taken in the order in which they were started."""
        for forward in forwards:
            self.waiting.remove(forward)
            self.running.append(forward)
            self._advance(forward)

    def drop(self, forwards: Sequence[Forward]) -> None:
        """These are not needed any more."""
        for forward in forwards:
            forward.leave()
            for held in (self.waiting, self.running):
                if forward in held:
                    held.remove(forward)
            self._release(forward, list(forward.left))

    def run(self) -> None:
        """Runs all that were started to their end. What is left if something is raised is to be dropped."""
        while self.running:
            self.check()
            ready = next((item for item in self.running if self._is_ready(item)), None)
            if ready is None:
                self.moved()
                ready = max(self.running, key=lambda item: len(item.left))
            self._pass(ready)

    # Inside -----------------------------------------------------------------------------------

    def _is_ready(self, forward: Forward) -> bool:
        return forward.at is not None and self.weights.has(forward.at.lazies)

    def _pass(self, forward: Forward) -> None:
        gate = forward.at
        assert gate is not None
        forward.tensors = self.weights.get(gate.lazies)
        self._advance(forward)
        forward.tensors = {}
        if gate in forward.left:
            del forward.left[gate]
            self._release(forward, [gate])

    def _advance(self, forward: Forward) -> None:
        forward.advance()
        if forward.at is None:
            self.running.remove(forward)
            self._release(forward, list(forward.left))
            forward.left.clear()
            if isinstance(forward.error, Stopped):
                raise forward.error
            self.ended(forward)

    def _release(self, forward: Forward, gates: Sequence[Gate]) -> None:
        for gate in gates:
            self.weights.done(gate.lazies)
