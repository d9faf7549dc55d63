"""One pass over the weights of a model, for the model itself and any number of edited ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from torch import Tensor

from graph.holders import map_tensors
from surgery.devices import is_out_of_memory
from surgery.errors import SurgeryError
from surgery.evaluate.answer import Answer
from surgery.evaluate.bench import Bench
from surgery.evaluate.figure import Figure
from surgery.evaluate.measure import Kept, Meter, Sums
from surgery.evaluate.running import Runner
from surgery.evaluate.streamed.gates import Gate
from surgery.evaluate.streamed.lockstep import Forward, Lockstep, forward_here
from surgery.evaluate.streamed.placed import Answers, Placed
from surgery.evaluate.streamed.probes import Probes
from surgery.evaluate.streamed.weights import Weights
from surgery.evaluate.subject import check_tokens
from surgery.evaluate.sweep.answers import SHARED_BYTES, remembering
from surgery.evaluate.sweep.sweep import LEAST_BATCHES, SHARE
from surgery.evaluate.tape import Place
from surgery.evaluate.tape.run import state_of_chance
from surgery.evaluate.tasks.contract import Task
from surgery.evaluate.tasks.usual import usual_tasks
from surgery.stream.drawn import Drawn

MOST_FORWARDS = 1024
"""Of one pass: each has a thread, and keeps its hidden states until the end."""
_PROBE: Place = (-1, -1)


@dataclass(eq=False)
class Edited:
    """An edited model and its sums so far, batch by batch; `refused` is why there are none."""

    drawn: Drawn
    placed: Placed | None = None
    batches: dict[Place, list[Sums]] = field(default_factory=dict)
    refused: str | None = None


class Pass:
    """Measures `edited` models beside the `original`, each block of which is read once for all.

    `tasks` None for the usual ones. `places`: the batches; None for as many as about `budget_s` seconds
    allow, by the time that the first block takes. `told` hears how much of the way is done, from 0 to 1.
    """

    def __init__(
        self,
        bench: Bench,
        weights: Weights,
        original: Drawn,
        edited: Sequence[Edited],
        tasks: tuple[Task, ...] | None,
        check: Callable[[], None],
        told: Callable[[float], None],
    ) -> None:
        self.bench, self.weights, self.edited = bench, weights, list(edited)
        self.tasks, self.check, self.told = tasks, check, told
        self.notes: tuple[str, ...] = ()
        self.places: list[Place] = []
        self.original = Placed(original, "the model before surgery", bench, weights, self._passed)
        self.probes = Probes(bench.examples, self.original.runner)
        self.meter: Meter | None = None
        self.first: Forward | None = None
        self._asked: dict[Forward, int] = {}
        self._whose: dict[Forward, Edited] = {}
        self._theirs: dict[Place, Answer] = {}
        self._ours: list[tuple[Edited, Place, Answer]] = []
        self._block_s: float | None = None
        gates = self.original.gates
        self._alike = [gate for gate in gates if _is_block(gate)] or gates

    def run(self, budget_s: float, places: Sequence[Place] | None) -> None:
        """Runs it: afterwards the sums of every edited model are there, or why it has none."""
        if not budget_s >= 0:
            raise SurgeryError("a budget is a time", got=f"{budget_s} s", expected="0 s or more")
        check_tokens(self.original.model, self.bench.examples)
        chance = state_of_chance(self.bench.device)
        lockstep = Lockstep(self.weights, self.check, self._ended)
        for item in self.edited:
            item.placed = self._placed(item)
        every = self._every_place() if places is None else list(places)
        self.runnable = [item for item in self.edited if item.placed is not None]
        self._asked = {self.original.forward(batch, _PROBE): n for n, batch in enumerate(self.probes.batches)}
        lockstep.expect(list(self._asked))
        forwards = {place: self._forwards(place) for place in every}
        for made in forwards.values():
            lockstep.expect(made)
        self.first = forwards[every[0]][0]
        decided = places is not None or math.isinf(budget_s) or not self.original.gates
        self.places = every if decided else every[:LEAST_BATCHES]

        def decide() -> None:
            """Once the first block was passed, it is known how many batches there is time for."""
            if self._block_s is None or len(forwards) == len(self.places):
                return
            self.places = every[: self._affordable(budget_s, len(every))]
            for place in every:
                if place in self.places[LEAST_BATCHES:]:
                    lockstep.start(forwards[place])
                elif place not in self.places:
                    lockstep.drop(forwards.pop(place))

        def moved() -> None:
            decide()
            self.told(1 - self._left() / max(1, len(self.original.gates)))
            self.bench.tape.forget()  # what was recorded lies behind all of them

        lockstep.moved = moved
        try:
            lockstep.start(list(self._asked))
            for place in self.places:
                lockstep.start(forwards[place])
            lockstep.run()
            self._refuse_changed()
            if state_of_chance(self.bench.device) != chance:
                raise SurgeryError(
                    "the model draws random numbers as it runs, so its weights cannot be streamed",
                    hint="opening it without `skeleton=True`",
                )
        finally:
            lockstep.drop([*lockstep.running, *lockstep.waiting])
            for placed in (self.original, *(item.placed for item in self.edited if item.placed)):
                placed.release()

    def figures(self, item: Edited) -> tuple[list[Figure], list[str]]:
        """The figures of an edited model, and sentences on what is no number."""
        if self.meter is None or item.refused is not None:
            return [], []
        return self.bench.figures(self.meter, [item.batches[place] for place in self.places])

    # Inside -----------------------------------------------------------------------------------

    def _every_place(self) -> list[Place]:
        """The batches that a pass has room for."""
        size, count = self.bench.batch_size, len(self.bench.examples)
        most = size * max(LEAST_BATCHES, MOST_FORWARDS // (1 + len(self.edited)))
        if count > most:
            self.notes += (f"A pass has room for {most:,} of {count:,} {self.bench.examples.noun}s.",)
        return [(start, min(start + size, count)) for start in range(0, min(count, most), size)]

    def _left(self) -> int:
        return 0 if self.first is None else len(self.first.left)

    def _placed(self, item: Edited) -> Placed | None:
        self.check()
        try:
            return Placed(item.drawn, "the edited model", self.bench, self.weights, self._passed)
        except SurgeryError as error:
            item.refused = str(error)
            return None

    def _forwards(self, place: Place) -> list[Forward]:
        """The forwards on a batch: the original's first, whose answers the others may take."""
        batch = self.bench.batch(place)
        made = [self.original.forward(batch, place)]
        for item in self.runnable:
            assert item.placed is not None
            made.append(item.placed.forward(batch, place))
            self._whose[made[-1]] = item
        return made

    def _affordable(self, budget_s: float, most: int) -> int:
        assert self._block_s is not None
        one_s = self._block_s * (1 + SHARE * len(self.runnable))
        return min(most, max(LEAST_BATCHES, int(budget_s / one_s)))

    def _passed(
        self, gate: Gate, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Runs a gate, in the thread of the forward that came to it; without one, at once."""
        here = forward_here()
        if here is None:  # the head, of answers that have come
            with gate.filled(self.weights.get(gate.lazies)):
                return call(*args, **kwargs)
        with gate.filled(here.wait(gate)):
            if here in self._asked or not here.same:
                return call(*args, **kwargs)
            began = time.perf_counter()
            with self.bench.tape.over(here.place):
                out = call(*args, **kwargs)
                run = self.bench.tape.run
                replayed = run is not None and bool(run.replayed)
        if here is self.first and self._block_s is None and gate in self._alike:
            self._block_s = (time.perf_counter() - began) * len(self._alike)
        if replayed:
            return map_tensors(out, Tensor.clone)  # its own: the others may write into theirs
        here.same = here not in self._whose
        return out

    def _ended(self, forward: Forward) -> None:
        if forward in self._asked:
            self.probes.answers[self._asked[forward]] = self._result(forward)
            if self.probes.are_answered:
                self.meter = self._metered()
        elif forward not in self._whose:
            self._theirs[forward.place] = remembering(self._result(forward), SHARED_BYTES)
        else:
            item = self._whose.pop(forward)
            try:
                self._ours.append((item, forward.place, self._result(forward)))
            except SurgeryError as error:
                item.refused = item.refused or str(error)
        self._measure()

    def _result(self, forward: Forward) -> Answer:
        """The answer that came. Raises what the forward raised; SurgeryError where memory ran out."""
        (answer, error), forward.result, forward.error = (forward.result, forward.error), None, None
        if error is not None and is_out_of_memory(error):
            size = forward.place[1] - forward.place[0]
            raise SurgeryError(
                f"a batch of {size} does not fit into the memory of {self.bench.device}"
            ) from error
        if error is not None:
            raise error
        return cast(Answer, answer)

    def _metered(self) -> Meter:
        subject, tasks = self.probes.subject(), self.tasks
        if tasks is None:
            tasks, notes = usual_tasks(subject)
            self.notes += notes
        for task in tasks:
            task.fits(subject)
        runner = self.original.runner
        return Meter(tasks, subject, (), runner, runner, Kept(), self.check)

    def _measure(self) -> None:
        """Sums what can be compared by now, and lets go of it."""
        left, self._ours = self._ours, []
        for item, place, ours in left:
            if self.meter is None or place not in self._theirs:
                self._ours.append((item, place, ours))
            elif item.refused is None and item.placed is not None:
                theirs = cast(Runner, Answers(self.original.runner.whose, self._theirs))
                edited = cast(Runner, Answers(item.placed.runner.whose, {place: ours}))
                meter = replace(self.meter, original=theirs, edited=edited)
                try:
                    item.batches[place] = meter.measured(self.bench.batch(place), place)
                except SurgeryError as error:
                    item.refused = str(error)
        waited_for = {forward.place for forward in self._whose} | {place for _, place, _ in self._ours}
        self._theirs = {place: theirs for place, theirs in self._theirs.items() if place in waited_for}

    def _refuse_changed(self) -> None:
        self.weights.refuse_changed()
        self.original.refuse_changed()
        for item in self.edited:
            if item.placed is not None and item.refused is None:
                try:
                    item.placed.refuse_changed()
                except SurgeryError as error:
                    item.refused = str(error)
        if not self.bench.tape.held():
            raise SurgeryError(
                "a block writes into itself while it runs, so its weights cannot be streamed",
                hint="opening the model without `skeleton=True`",
            )


def _is_block(gate: Gate) -> bool:
    """Whether it is one of a list, as most of what a model computes is."""
    return gate.path.rpartition(".")[2].isdigit()
