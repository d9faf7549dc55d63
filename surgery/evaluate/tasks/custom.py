"""A measure of the caller's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.figure import Better, Quantity
from surgery.evaluate.subject import Subject
from surgery.evaluate.tasks.contract import Reads, Task
from surgery.evaluate.tasks.similarity import refuse_no_numbers

Function = Callable[[nn.Module, Batch], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Custom(Task):
    """The mean of a number per example that `function(model, batch)` gives, a tensor (examples,).

    The model is in evaluation mode on the evaluation's device, and so is the batch. A function cannot be
    written into a script: this task has no data.
    """

    reads: ClassVar[Reads] = "model"
    name: ClassVar[str] = "custom"
    title: ClassVar[str] = "Function"
    source: ClassVar[str] = "yours"
    specs: ClassVar[tuple[Any, ...]] = ()

    function: Function
    called: str = ""
    unit: str = ""
    better: Better = "lower"
    decimals: int = 3

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SurgeryError(
                "a task of yours is a function",
                got=repr(self.function),
                expected="(model, batch) -> (examples,)",
            )

    @property
    def label(self) -> str:
        """What it is called: as given, or as the function is."""
        return self.called or getattr(self.function, "__name__", type(self.function).__name__)

    def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
        return (Quantity(self.label, self.unit, self.better, self.decimals),)

    def sums(self, found: object, batch: Batch, whose: str) -> Tensor:
        """The function's numbers, and one for each example; SurgeryError where they are none."""
        if not isinstance(found, Tensor) or found.shape != (len(batch),) or found.is_complex():
            got = f"a tensor {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise SurgeryError(
                f"{self.label} gives no number per example", got=got, expected=f"a tensor ({len(batch)},)"
            )
        refuse_no_numbers(found.double(), f"{whose}: the values of {self.label}")
        return torch.stack([found.double(), torch.ones_like(found, dtype=torch.float64)], 1)

    def figures(self, sums: Tensor) -> Tensor:
        return sums[..., :1] / sums[..., 1:]
