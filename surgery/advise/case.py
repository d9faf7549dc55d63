"""What an adviser is asked about: a model on a shell of its own, places in it, examples, and a budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from surgery.advise.advice import Advice, Item, Matrix
from surgery.devices import is_out_of_memory
from surgery.errors import SurgeryError
from surgery.evaluate.bench import LOGITS_BYTES, usual_batch_size
from surgery.evaluate.blocks import block_paths
from surgery.evaluate.data.examples import Batch, Examples
from surgery.evaluate.device import free_memory
from surgery.evaluate.evaluator import Progress
from surgery.evaluate.placing import placer
from surgery.evaluate.running import Runner
from surgery.evaluate.subject import Subject, looked_at
from surgery.model import Patient
from surgery.selecting import resolve
from surgery.stopping import checker
from surgery.typed import plain_fields

if TYPE_CHECKING:
    from surgery.advise.contract import Adviser

Found = TypeVar("Found")


class Case:
    """`model` is a shell in evaluation mode on `device`, none of whose parameters asks for a gradient.

    It shares the memory of the weights where these are on that device already, so nothing may write into
    them; its modules, hooks and buffers are its own. `chosen` are the paths somebody selected, None for the
    usual ones. `shown` gives the examples: it is called where they are needed.
    """

    def __init__(
        self,
        model: nn.Module,
        shown: Callable[[], Examples],
        *,
        inputs: Any = None,
        tokenizer: Any = None,
        select: str | None = None,
        device: str = "auto",
        budget_s: float = 2.0,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        if not budget_s >= 0:
            raise SurgeryError("a budget is a time", got=f"{budget_s} s", expected="0 s or more")
        self.began, self.budget_s = time.perf_counter(), budget_s
        self.chosen = None if select is None else resolve(select, model)
        placed = placer(device, model)
        self.device, self.model = placed.device, placed.place(model)
        self.patient = Patient(self.model, inputs, tokenizer)
        self.check = checker(stop)
        self.seen = 0
        self.notes: list[str] = []
        self._shown, self._progress = shown, progress or (lambda *_: None)

    # Where ------------------------------------------------------------------------------------

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """Paths of the blocks. SurgeryError where there are none."""
        found = block_paths(self.model)
        if not found:
            raise SurgeryError(
                f"{type(self.model).__name__} has no blocks: no list of modules that are alike",
                hint='`select="…"`, modules of your choice',
            )
        return found

    @property
    def paths(self) -> tuple[str, ...]:
        """What was selected, by default the blocks."""
        return self.blocks if self.chosen is None else self.chosen

    def parameters(self, path: str) -> dict[str, nn.Parameter]:
        """The floating parameters at or below a path, by their names from there, a tied one once."""
        found = self.patient.module(path).named_parameters()
        return {name: held for name, held in found if held.is_floating_point()}

    # On what ----------------------------------------------------------------------------------

    @cached_property
    def examples(self) -> Examples:
        """What the model is shown."""
        return self._shown()

    @cached_property
    def runner(self) -> Runner:
        """What calls the model: in float32 where its weights are."""
        return Runner(self.model, self.device, exact=True, whose="the model")

    @cached_property
    def subject(self) -> Subject:
        """The model on one example. SurgeryError where it cannot be shown these."""
        with self.runner.interruptible(self.check):
            return looked_at(self.runner, self.examples)

    def logits_room(self) -> int:
        """How many examples may be in a batch whose logits are made whole."""
        one_bytes = 4 * max(1, self.subject.positions) * max(1, self.subject.classes)
        return max(1, LOGITS_BYTES // one_bytes)

    def over(self, work: Callable[[Batch], Found], most: int | None = None) -> Iterator[tuple[Found, Batch]]:
        """What `work` finds batch by batch, until the budget is spent; of one batch at the least.

        A batch has at most `most` examples. Where memory runs out it is halved, and `work` is called anew:
        it should keep nothing between calls.
        """
        size = min(usual_batch_size(self.examples), most or len(self.examples), len(self.examples))
        while self.seen < len(self.examples):
            self.check()
            end = min(self.seen + size, len(self.examples))
            batch = self.examples.batch(self.seen, end).to(self.device)
            try:
                with self.runner.interruptible(self.check):
                    found = work(batch)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if size == 1:
                    raise self._no_room() from error
                size = max(1, (end - self.seen) // 2)
                free_memory(self.device)
                continue
            self.seen = end
            spent = time.perf_counter() - self.began
            over = spent >= self.budget_s or end == len(self.examples)
            share = 1.0 if over else max(spent / self.budget_s, end / len(self.examples))
            self._progress(share, self.examples.counting(end))
            yield found, batch
            if over:
                return

    def step(self, done: int, of: int, label: str) -> None:
        """Says how far it is, where no batch says it, and raises Stopped once that was asked for."""
        self.check()
        self._progress(done / of if of else 1.0, label)

    # What was found ---------------------------------------------------------------------------

    def advice(
        self,
        adviser: Adviser,
        items: Sequence[Item | str],
        numbers: Sequence[float] | Tensor,
        *,
        matrix: Tensor | None = None,
        part: str = "",
        notes: Sequence[str] = (),
    ) -> Advice:
        """The advice with these numbers, one per item. SurgeryError where none of them is a number.

        With a `matrix` (items, items) float64 of pairs the numbers may be empty: they are those with the
        likeliest partner then.
        """
        placed = tuple(item if isinstance(item, Item) else Item(item) for item in items)
        table: Matrix | None = None
        if matrix is not None:
            table = tuple(tuple(map(float, row)) for row in matrix.tolist())
            numbers = nearest(matrix, low=adviser.low_is_cheap)
        values = tuple(map(float, numbers.tolist() if isinstance(numbers, Tensor) else numbers))
        lost = [item.text(part) for item, value in zip(placed, values, strict=True) if value != value]
        if len(lost) == len(placed):
            raise SurgeryError(
                f"{adviser.name} finds nothing to score here",
                got=", ".join(lost[:3]) + (" …" if len(lost) > 3 else "") or "no place",
                hint="other modules: `select`",
            )
        said = [*self.notes, *notes, *self.examples.notes] if self.seen else [*self.notes, *notes]
        if lost:
            said.append(f"Not scored: {', '.join(lost[:6])}{' …' if len(lost) > 6 else ''}.")
        self._progress(1.0, self.examples.counting(self.seen) if self.seen else "done")
        return Advice(
            adviser=adviser.name,
            title=adviser.title,
            unit=adviser.unit,
            source=adviser.source,
            edit=adviser.edit,
            low_is_cheap=adviser.low_is_cheap,
            items=placed,
            numbers=values,
            matrix=table,
            part=part,
            examples=self.seen,
            noun=self.examples.noun if self.seen else "example",
            data=self.examples.label if self.seen else "",
            device=str(self.device),
            seconds=time.perf_counter() - self.began,
            fields=plain_fields(adviser),
            notes=tuple(dict.fromkeys(said)),
            together=adviser.together,
        )

    def _no_room(self) -> SurgeryError:
        return SurgeryError(
            f"one {self.examples.noun} does not fit into the memory of {self.device}",
            hint='smaller examples, or `device="cpu"`',
        )


def nearest(matrix: Tensor, *, low: bool) -> Tensor:
    """The number of each item with its likeliest partner, (items,); NaN where it has none."""
    lost = -torch.inf if not low else torch.inf
    others = matrix.masked_fill(torch.eye(len(matrix), dtype=torch.bool), torch.nan)
    known = torch.where(others.isnan(), lost, others)
    best = known.amin(1) if low else known.amax(1)
    return torch.where(best.isinf(), torch.nan, best)
