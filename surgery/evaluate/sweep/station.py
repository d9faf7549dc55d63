"""What a worker of Ray does: it measures the candidates it is given, with a model and a bench of its own."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Wants
from surgery.evaluate.bench import Bench, usual_tape_bytes
from surgery.evaluate.data.examples import Examples
from surgery.evaluate.measure import Meter
from surgery.evaluate.sweep.parcel import Parcel, unpacked
from surgery.evaluate.sweep.report import TOLD_APART, Row
from surgery.evaluate.sweep.sweeper import Make, Sweeper
from surgery.evaluate.tape import Place
from surgery.evaluate.tape.tape import setting_now
from surgery.evaluate.tasks.contract import Task
from surgery.operation import Operation
from surgery.stopping import checker

_EXAMPLES, _PLACES = 2, 4
"""What a probe looks at: so many examples, and of each so many of the last places."""
_MIXED_APART = 2e-2
"""What a worker may be apart from the driver under bf16, relative."""


@dataclass(frozen=True)
class Setting:
    """What the bits of a forward hang on in the process: `rest` is compared, and not set."""

    threads: int
    dtype: torch.dtype
    precision: str
    deterministic: bool
    mkldnn: Any
    cudnn_benchmark: bool
    sdp: tuple[bool, bool, bool]
    rest: Hashable

    @classmethod
    def now(cls) -> Setting:
        """That of this process."""
        cuda = torch.backends.cuda
        return cls(
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.mkldnn.enabled,
            torch.backends.cudnn.benchmark,
            (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()),
            setting_now(),
        )

    def apply(self) -> None:
        """Makes it this process's. Raises SurgeryError where something is left that is another."""
        torch.set_num_threads(self.threads)
        torch.set_default_dtype(self.dtype)
        torch.set_float32_matmul_precision(self.precision)
        torch.use_deterministic_algorithms(self.deterministic)
        torch.backends.mkldnn.enabled = self.mkldnn
        torch.backends.cudnn.benchmark = self.cudnn_benchmark
        flash, efficient, plain = self.sdp
        torch.backends.cuda.enable_flash_sdp(flash)
        torch.backends.cuda.enable_mem_efficient_sdp(efficient)
        torch.backends.cuda.enable_math_sdp(plain)
        if setting_now() != self.rest:
            raise SurgeryError(
                "a worker of Ray cannot compute as this process does: global hooks or autocast are on here",
                hint="the sweep without Ray",
            )


@dataclass(frozen=True)
class Orders:
    """What a worker is told once: `make` makes candidates of `base`, which gives what was `seen`."""

    base: nn.Module
    make: Make
    examples: Examples
    tasks: Sequence[Task]
    places: tuple[Place, ...]
    device: str
    seed: int
    exact: bool
    sharing: int
    setting: Setting
    seen: tuple[Tensor, ...]


class Station:
    """A worker. The parcel of its orders comes with every call, so that it can begin anew after it died."""

    def __init__(self) -> None:
        self.orders: Orders | None = None
        self.bench: Bench | None = None

    def ready(self, parcel: Parcel) -> tuple[str | None, bool]:
        """Why it cannot work, None if it can; and whether it computes the driver's bits."""
        try:
            return None, self._prepared(parcel)
        except SurgeryError as error:
            return str(error), False

    def row(self, parcel: Parcel, step: Operation) -> tuple[str | None, Row | None]:
        """Why it cannot work, or the row of a step, measured by itself."""
        if self.bench is None:  # the process was started anew
            problem, _ = self.ready(parcel)
            if problem is not None:
                return problem, None
        assert self.bench is not None and self.orders is not None
        with self.bench.at_work(None) as check:
            meter, _ = self.bench.meter(self.bench.original, tuple(self.orders.tasks), None, check)
            sweeper = Sweeper(self.bench, self.orders.make, None)
            ((_, row),) = sweeper.rows([step], self.orders.places, meter, lambda done: None)
        return None, row

    def _prepared(self, parcel: Parcel) -> bool:
        try:
            orders: Orders = unpacked(parcel)
        except Exception as error:
            raise SurgeryError(
                f"a worker of Ray cannot read the model: {type(error).__name__}: {error}",
                hint="install on its machine what is installed here",
            ) from error
        orders.setting.apply()
        device = torch.device(orders.device)
        bench = Bench(
            orders.base,
            examples=orders.examples,
            device=device,
            seed=orders.seed,
            exact=orders.exact,
            tape_bytes=usual_tape_bytes(device) // orders.sharing,
        )
        with bench.at_work(None):
            meter, _ = bench.meter(bench.original, tuple(orders.tasks), None, checker(None))
            equal = _compared(seen(bench, meter), orders.seen, single=meter.original.is_single)
        self.orders, self.bench = replace(orders, seen=()), bench
        return equal


def seen(bench: Bench, meter: Meter) -> tuple[Tensor, ...]:
    """Some of what the original gives on the first examples, on the CPU: a worker's must be the same."""
    subject = meter.subject
    wants = Wants(logits=subject.logits is not None, embedding=subject.embeds)
    batch = bench.batch((0, min(_EXAMPLES, len(bench.examples))))
    answer = meter.original.answer(batch, None, wants)
    found = [] if answer.embedding is None else [answer.embedding]
    if answer.shape is not None:
        found.append(answer.at(torch.arange(answer.shape[0], device=bench.device)[-_PLACES:]))
    return tuple(tensor.detach().cpu() for tensor in found)


def _compared(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...], *, single: bool) -> bool:
    """Whether bit by bit alike; SurgeryError where they are no rounding apart."""
    apart = TOLD_APART if single else _MIXED_APART
    equal = all(torch.equal(one, two) for one, two in zip(ours, theirs, strict=True))
    for one, two in () if equal else zip(ours, theirs, strict=True):
        if one.shape != two.shape or not bool((one - two).abs().max() <= apart * two.abs().max()):
            raise SurgeryError(
                "a worker of Ray gets another answer from the model than this process does",
                hint="the sweep without Ray; a model must not draw at random, and versions must be the same",
            )
    return equal
