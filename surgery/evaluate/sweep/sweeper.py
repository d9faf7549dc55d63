"""Measures candidates on the same examples: together where a probe proves it, else one after another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Answer, Wants
from surgery.evaluate.bench import Bench
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.device import free_memory, is_out_of_memory
from surgery.evaluate.measure import Meter, Sums
from surgery.evaluate.running import Runner
from surgery.evaluate.sweep.lanes import Lane, kinship, lane
from surgery.evaluate.sweep.report import TOLD_APART, Row
from surgery.evaluate.sweep.wave import NoWave, Wave, ending_with
from surgery.evaluate.tape import Place
from surgery.evaluate.tape.signature import place_of
from surgery.evaluate.tape.values import Unsayable, digest
from surgery.operation import Operation

GROUP = 32
"""Candidates that are there at a time, each with module objects of its own."""
FILLS_CPU = 1024
"""Positions in a batch from which on candidates on a CPU run over the tape, one after another."""
_PROBED = 2
"""Examples that a candidate runs both ways before it may share a pass."""
_PROBED_PLACES = 64
_SHARED_BYTES = 256_000_000
"""Of the base's logits on a batch, what is kept for the candidates to be compared with."""

Make = Callable[[Operation], tuple[Operation, nn.Module]]


@dataclass(eq=False)
class Candidate:
    """An edited model on the device, and its sums so far; `lane` where it shares the pass."""

    step: Operation
    runner: Runner
    meter: Meter
    parameters: tuple[int, int]
    blocks: list[nn.Module] = field(default_factory=list)
    lane: Lane | None = None
    batches: list[list[Sums]] = field(default_factory=list)
    refused: str | None = None


class Sweeper:
    """Runs the candidates that `make` gives, on `bench`, whose original they were all made from.

    `blocks`: the path of the list of blocks of which candidates share a pass; None where each runs alone.
    """

    def __init__(self, bench: Bench, make: Make, blocks: str | None) -> None:
        self.bench, self.make, self.blocks = bench, make, blocks
        self.equal = True

    def rows(
        self, steps: Sequence[Operation], places: Sequence[Place], meter: Meter
    ) -> Generator[tuple[Operation, Row]]:
        """Each step and its row, in order, measured on the batches at `places` beside the base of `meter`."""
        for start in range(0, len(steps), GROUP):
            group = steps[start : start + GROUP]
            made = [self._made(step, meter) for step in group]
            candidates = [item for item in made if isinstance(item, Candidate)]
            try:
                self._lay(candidates, meter)
                for candidate in candidates:
                    if candidate.lane is None:
                        candidate.runner.join(self.bench.tape)
                for place in places:
                    self._measure([item for item in candidates if item.refused is None], place, meter)
                for step, item in zip(group, made, strict=True):
                    yield step, item if isinstance(item, Row) else self._row(item)
            finally:
                for candidate in candidates:
                    candidate.runner.release()

    def _made(self, step: Operation, meter: Meter) -> Candidate | Row:
        """The edited model on the device; a row that says why where the step is refused."""
        meter.check()
        before = _parameters(self.bench.original)
        try:
            resolved, model = self.make(step)
            runner = self.bench.runner(model, "the edited model", taped=False)
        except SurgeryError as error:
            return Row(step, (before, before), refused=str(error))
        return Candidate(resolved, runner, replace(meter, edited=runner), (before, _parameters(model)))

    # Sharing a pass ---------------------------------------------------------------------------

    def _lay(self, candidates: list[Candidate], meter: Meter) -> None:
        """Gives a lane to each candidate that gives, sharing a pass, what it gives by itself."""
        base = _items(meter.original.model, self.blocks)
        if base is None or not meter.reads_logits_alone:
            return
        kin, beside = kinship(base), _beside(meter.original.model, self.blocks)
        for item in candidates:
            blocks = _items(item.runner.model, self.blocks)
            # What stands before the blocks runs for the base alone, and a probe sees it on a few tokens only.
            if blocks and beside is not None and _beside(item.runner.model, self.blocks) == beside:
                item.blocks, item.lane = blocks, lane(kin, blocks)
        laid = [item for item in candidates if item.lane is not None]
        batch = self.bench.batch((0, min(_PROBED, len(self.bench.examples))))
        try:
            hidden = self._wave(base, laid, batch, None, meter)
        except (NoWave, RuntimeError, SurgeryError):
            for item in laid:
                item.lane = None
            return
        fills = bool(hidden) and self._fills(hidden[0])
        for item, state in zip(laid, hidden, strict=True):
            if fills or not self._proved(item, state, batch):
                item.lane = None

    def _fills(self, hidden: Tensor) -> bool:
        """Whether a batch of one candidate keeps a processor busy: more rows make it no quicker then."""
        positions = self.bench.batch_size * hidden.shape[1:-1].numel()
        return self.bench.device.type == "cpu" and positions >= FILLS_CPU

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
        if not torch.equal(one, two):
            self.equal = False
        return bool((one - two).abs().max() <= TOLD_APART * one.abs().max())

    # Measuring --------------------------------------------------------------------------------

    def _measure(self, candidates: list[Candidate], place: Place, meter: Meter) -> None:
        batch = self.bench.batch(place)
        base: Any = _Same(meter.original)
        laid = [item for item in candidates if item.lane is not None]
        hidden: dict[Candidate, Tensor] = {}
        blocks = _items(meter.original.model, self.blocks)
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

    def _row(self, item: Candidate) -> Row:
        shared = item.lane is not None
        if item.refused is not None:
            return Row(item.step, item.parameters, refused=item.refused)
        figures, lost = self.bench.figures(item.meter, item.batches)
        refused = " ".join(lost) if not figures else None
        return Row(item.step, item.parameters, tuple(figures), refused, shared)


class _Same:
    """A runner that answers a batch once: what it gave is kept for all candidates."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.whose = runner, runner.whose
        self._answers: dict[Any, Answer] = {}

    def answer(self, batch: Batch, place: Place, wants: Wants) -> Answer:
        """The answer to this batch, its logits kept up to a limit."""
        if (place, wants) not in self._answers:
            self._answers[place, wants] = _remembering(self.runner.answer(batch, place, wants))
        return self._answers[place, wants]

    def given(self, function: Any, batch: Batch) -> Any:
        """What a function of the user's gives."""
        return self.runner.given(function, batch)


def _remembering(answer: Answer) -> Answer:
    kept: dict[tuple[int, int], Tensor] = {}
    used = 0

    def at(places: Tensor) -> Tensor:
        nonlocal used
        key = (int(places[0]), len(places))
        if key in kept:
            return kept[key]
        found = answer.at(places)
        if used + found.nbytes <= _SHARED_BYTES:
            kept[key], used = found, used + found.nbytes
        return found

    return replace(answer, at=at) if answer.shape is not None else answer


def _items(model: nn.Module, path: str | None) -> list[nn.Module] | None:
    """The blocks in the list at `path`; None where there is no list or it is empty."""
    if path is None:
        return None
    try:
        found = model.get_submodule(path)
    except AttributeError:
        return None
    items = list(found) if isinstance(found, nn.ModuleList | nn.Sequential) else []
    return items or None


def _beside(model: nn.Module, path: str | None) -> dict[str, Hashable] | None:
    """The tensors outside the list at `path` by name, to be compared; None where one can't be."""
    try:
        places = {name: place_of(tensor) for name, tensor in model.named_parameters()}
        values = {name: digest(tensor) for name, tensor in model.named_buffers()}
    except Unsayable:
        return None
    return {name: said for name, said in (places | values).items() if not name.startswith(f"{path}.")}


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
