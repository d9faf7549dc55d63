"""Measures candidates on the same examples: together where a probe proves it, else one after another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from surgery.devices import is_out_of_memory
from surgery.errors import SurgeryError
from surgery.evaluate.answer import Wants
from surgery.evaluate.bench import Bench
from surgery.evaluate.data.examples import IDS, Batch
from surgery.evaluate.device import free_memory
from surgery.evaluate.measure import Meter, Sums
from surgery.evaluate.running import Runner
from surgery.evaluate.state import state
from surgery.evaluate.sweep.answers import SHARED_BYTES, Same
from surgery.evaluate.sweep.lanes import Lane, items_in, kinship, lane, tensors_beside
from surgery.evaluate.sweep.report import TOLD_APART, Row
from surgery.evaluate.sweep.wave import NoWave, Wave, ending_with
from surgery.evaluate.tape import Place
from surgery.operation import Operation
from surgery.stopping import Stopped

GROUP = 32
"""Candidates that are there at a time, each with module objects of its own."""
FILLS_CPU = 1024
"""Positions in a batch from which on candidates on a CPU run over the tape, one after another."""
_PROBED = 2
"""Examples that a candidate runs both ways before it may share a pass."""
_PROBED_PLACES = 64

Make = Callable[[Operation], tuple[Operation, nn.Module]]
Told = Callable[[float], None]


@dataclass(eq=False)
class Candidate:
    """An edited model on the device, and its sums so far, made of the step that was `asked` for.

    `lane` where it shares the pass; `placed` is what its modules were before they were probed; `equal`
    whether the probe found the same bits.
    """

    asked: Operation
    step: Operation
    runner: Runner
    meter: Meter
    parameters: tuple[int, int]
    blocks: list[nn.Module] = field(default_factory=list)
    lane: Lane | None = None
    placed: Hashable = None
    batches: list[list[Sums]] = field(default_factory=list)
    refused: str | None = None
    equal: bool | None = None


class Sweeper:
    """Runs the candidates that `make` gives, on `bench`, whose original they were all made from.

    `blocks`: the path of the list of blocks of which candidates share a pass; None where each runs alone.
    """

    def __init__(self, bench: Bench, make: Make, blocks: str | None) -> None:
        self.bench, self.make, self.blocks = bench, make, blocks
        self.writes = False
        """Whether a model wrote into itself, so that candidates ran by themselves."""
        self._in_turn, self._kept_bytes = False, SHARED_BYTES
        self._answers: dict[Place, Same] = {}

    def rows(
        self, steps: Sequence[Operation], places: Sequence[Place], meter: Meter, told: Told
    ) -> Generator[tuple[Operation, Row]]:
        """Each step with its row, measured on the batches at `places` beside the base of `meter`.

        A row is given as soon as it is whole, also when the sweep is stopped. `told` hears after each batch
        how much of a row that was.
        """
        ids = self.bench.examples.inputs.get(IDS)
        if ids is not None and self._fills(ids.shape[1]):
            self.blocks = None  # without asking each candidate
        self._in_turn = self._has_room(len(steps), len(places))
        self._kept_bytes = SHARED_BYTES // (len(places) if self._in_turn else 1)
        size = 1 if self.blocks is None and self._in_turn else GROUP
        self.writes = not self.bench.is_as_placed()
        for start in range(0, len(steps), size):
            left = list(steps[start : start + size])
            if not self.writes:
                for step, row in self._group(list(left), places, meter, told):
                    left.remove(step)
                    yield step, row
            if self.writes:
                for step in left:
                    yield step, self._alone(step, places, meter, told)

    def _has_room(self, steps: int, places: int) -> bool:
        """Whether the tape can hold all that a sweep records, so that a candidate may run from the first
        batch to the last before the next begins; one batch of the base is on it.
        """
        store = self.bench.tape.store
        return 0 < store.used_bytes * places * (1 + steps / 2) <= store.limit_bytes

    def _group(
        self, steps: Sequence[Operation], places: Sequence[Place], meter: Meter, told: Told
    ) -> Iterator[tuple[Operation, Row]]:
        """Candidates that are there at a time; no more of them once a model turns out to write into itself,
        so that what it gives hangs on what ran before.
        """
        candidates = list[Candidate]()
        with ExitStack() as stack:
            stack.enter_context(meter.original.interruptible(meter.check))
            for step in steps:
                item = self._made(step, meter)
                if isinstance(item, Row):
                    yield step, item
                    continue
                candidates.append(item)
                stack.callback(item.runner.release)
                stack.enter_context(item.runner.interruptible(meter.check))
            self._lay(candidates, meter)
            for item in candidates:
                if item.lane is None:
                    item.runner.join(self.bench.tape)
            for items in self._turns(candidates):
                yield from self._through(items, places, meter, told)
                if self.writes:
                    return

    def _turns(self, candidates: list[Candidate]) -> list[list[Candidate]]:
        """Which of them go through the batches together."""
        if not self._in_turn:
            return [candidates]
        laid = [item for item in candidates if item.lane is not None]
        return [*([laid] if laid else []), *([item] for item in candidates if item.lane is None)]

    def _through(
        self, items: Sequence[Candidate], places: Sequence[Place], meter: Meter, told: Told
    ) -> Iterator[tuple[Operation, Row]]:
        try:
            for place in places:
                measured = [item for item in items if item.refused is None]
                self._measure(measured, place, meter, lambda: told(1 / len(places)))
                if not self._in_turn or any(answers.is_heavy for answers in self._answers.values()):
                    self._answers.clear()
        except Stopped:
            items = [item for item in items if item.refused or len(item.batches) == len(places)]
            if self._held(items):
                yield from ((item.asked, self._row(item)) for item in items)
            raise
        if self._held(items):
            yield from ((item.asked, self._row(item)) for item in items)
        else:
            self.writes = True

    def _held(self, items: Sequence[Candidate]) -> bool:
        """Whether none of the models that ran wrote into itself."""
        return (
            self.bench.tape.held()
            and self.bench.is_as_placed()
            and all(state(item.runner.model.modules()) == item.placed for item in items if item.placed)
        )

    def _alone(self, step: Operation, places: Sequence[Place], meter: Meter, told: Told) -> Row:
        """The row of a candidate that runs, as the base beside it, on a shell made anew, without the tape."""
        with self.bench.without_tape(), ExitStack() as stack:
            self._answers.clear()
            beside, _ = self.bench.meter(self.bench.original, tuple(meter.tasks), None, meter.check)
            item = self._made(step, beside)
            if isinstance(item, Row):
                return item
            for runner in (beside.original, item.runner):
                stack.enter_context(runner.interruptible(meter.check))
            for place in places:
                if item.refused is None:
                    self._measure([item], place, beside, lambda: told(1 / len(places)))
            self._answers.clear()
            return self._row(item)

    def _made(self, step: Operation, meter: Meter) -> Candidate | Row:
        """The edited model on the device; a row that says why where the step is refused."""
        meter.check()
        before = _parameters(self.bench.original)
        try:
            resolved, model = self.make(step)
            runner = self.bench.runner(model, "the edited model", taped=False)
        except SurgeryError as error:
            return Row(step, (before, before), refused=str(error))
        return Candidate(step, resolved, runner, replace(meter, edited=runner), (before, _parameters(model)))

    # Sharing a pass ---------------------------------------------------------------------------

    def _lay(self, candidates: list[Candidate], meter: Meter) -> None:
        """Gives a lane to each candidate that gives, sharing a pass, what it gives by itself."""
        base = items_in(meter.original.model, self.blocks)
        if base is None or not meter.reads_logits_alone:
            return
        kin, beside = kinship(base), tensors_beside(meter.original.model, self.blocks)
        for item in candidates:
            blocks = items_in(item.runner.model, self.blocks)
            # What stands before the blocks runs for the base alone, and a probe sees it on a few tokens only.
            if blocks and beside is not None and tensors_beside(item.runner.model, self.blocks) == beside:
                item.blocks, item.lane = blocks, lane(kin, blocks)
                item.placed = state(item.runner.model.modules())
        laid = [item for item in candidates if item.lane is not None]
        batch = self.bench.batch((0, min(_PROBED, len(self.bench.examples))))
        try:
            hidden = self._wave(base, laid, batch, None, meter)
        except (NoWave, RuntimeError, SurgeryError):
            for item in laid:
                item.lane = None
            return
        fills = bool(hidden) and self._fills(hidden[0].shape[1:-1].numel())
        for item, given in zip(laid, hidden, strict=True):
            if fills or not self._proved(item, given, batch):
                item.lane = None

    def _fills(self, positions: int) -> bool:
        """Whether a batch of so many positions each keeps a processor busy: more rows gain nothing then."""
        return self.bench.device.type == "cpu" and self.bench.batch_size * positions >= FILLS_CPU

    def _wave(
        self, base: list[nn.Module], laid: list[Candidate], batch: Batch, place: Place | None, meter: Meter
    ) -> list[Tensor]:
        wave = Wave(base, [item.lane for item in laid if item.lane is not None], meter.check)
        return wave.run(lambda: meter.original.answer(batch, place, Wants(logits=True)))

    def _proved(self, item: Candidate, hidden: Tensor, batch: Batch) -> bool:
        """Whether the logits are those of a forward of its own, up to rounding; notes whether bit by bit."""
        try:
            alone = item.runner.answer(batch, None, Wants(logits=True))
            with ending_with(item.blocks, hidden):
                together = item.runner.answer(batch, None, Wants(logits=True))
        except SurgeryError:
            return False
        if alone.shape is None or alone.shape != together.shape:
            return False
        every = torch.arange(alone.shape[0], device=hidden.device)
        one, two = alone.at(every[-_PROBED_PLACES:]), together.at(every[-_PROBED_PLACES:])
        item.equal = torch.equal(one, two)
        return bool((one - two).abs().max() <= TOLD_APART * one.abs().max())

    # Measuring --------------------------------------------------------------------------------

    def _measure(
        self, candidates: list[Candidate], place: Place, meter: Meter, told: Callable[[], None]
    ) -> None:
        batch = self.bench.batch(place)
        if place not in self._answers:
            self._answers[place] = Same(meter.original, self._kept_bytes)
        base: Any = self._answers[place]
        laid = [item for item in candidates if item.lane is not None]
        hidden: dict[Candidate, Tensor] = {}
        blocks = items_in(meter.original.model, self.blocks)
        if laid and blocks is not None:
            try:
                hidden = dict(zip(laid, self._wave(blocks, laid, batch, place, meter), strict=True))
            except (NoWave, RuntimeError, SurgeryError):  # it fitted the probe, and does not fit this batch
                for item in laid:
                    item.lane = None
                    item.runner.join(self.bench.tape)
                free_memory(self.bench.device)
        for item in candidates:
            meter.check()
            ending: AbstractContextManager[None] = nullcontext()
            if item in hidden:
                ending = ending_with(item.blocks, hidden.pop(item))
            try:
                with ending:
                    item.batches.append(replace(item.meter, original=base).measured(batch, place))
            except SurgeryError as error:
                item.refused = str(error)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self.bench.tape.give_way()
                free_memory(self.bench.device)
                item.refused = f"a batch of {len(batch)} does not fit into the memory of {self.bench.device}"
            told()

    def _row(self, item: Candidate) -> Row:
        shared = item.lane is not None
        if item.refused is not None:
            return Row(item.step, item.parameters, refused=item.refused)
        figures, lost = self.bench.figures(item.meter, item.batches)
        refused = " ".join(lost) if not figures else None
        return Row(
            item.step, item.parameters, tuple(figures), refused, shared, item.equal if shared else None
        )


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
