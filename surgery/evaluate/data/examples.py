"""What is evaluated on: examples in an order that never changes.

A time budget covers the first part of that order, so a longer budget sees what a shorter one saw
and more, and two evaluations of different models share their examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from surgery.errors import SurgeryError

IDS, MASK = "input_ids", "attention_mask"


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive examples: `inputs` by name, (examples, …) each; `labels` and `counted` as in Examples."""

    inputs: Mapping[str, Tensor]
    labels: Tensor | None = None
    counted: Tensor | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def ids(self) -> Tensor | None:
        """Token ids (examples, window) int64; None where the examples are no tokens."""
        return self.inputs.get(IDS)

    @property
    def real(self) -> Tensor | None:
        """Which tokens are no padding, (examples, window) bool; None where the examples are no tokens."""
        if self.ids is None:
            return None
        mask = self.inputs.get(MASK)
        return torch.ones_like(self.ids, dtype=torch.bool) if mask is None else mask.bool()

    @property
    def fresh(self) -> Tensor | None:
        """Which real tokens count here and are no mere context, (examples, window) bool; None like `real`."""
        real = self.real
        return real if real is None or self.counted is None else real & self.counted

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(
            {name: value.to(device) for name, value in self.inputs.items()},
            None if self.labels is None else self.labels.to(device),
            None if self.counted is None else self.counted.to(device),
        )


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs of a model under a name, visited in a fixed order drawn with `seed`.

    `inputs`: tensors (n, …) by name; one whose name is a parameter of the model's forward goes by name, the
    others go by position, in order. Tokens are `input_ids` (n, window) int64, padding is where
    `attention_mask`, of that shape, is zero. `labels` (n,) or (n, positions) int64, −100 where there is none.
    `counted` (n, window) bool: false where a token is only context, since another window counts it.
    `documents` (n,) int64: which text each window is of, since windows of one text are alike.

    `own` says that it is the user's data; `noise` that nothing in it can be predicted; `notes` are sentences
    for the report. Raises SurgeryError for no data, for tensors that do not fit one another, and for values
    that are no numbers.
    """

    name: str
    own: bool
    inputs: Mapping[str, Tensor]
    labels: Tensor | None = None
    counted: Tensor | None = None
    documents: Tensor | None = None
    noise: bool = False
    seed: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.inputs.items():
            self._check(name, value)
        if IDS in self.inputs:
            self._check_tokens(self.inputs[IDS])
        if self.labels is not None and (_is_inexact(self.labels) or self.labels.dim() not in (1, 2)):
            got = f"shape {tuple(self.labels.shape)}, {self.labels.dtype}"
            raise SurgeryError(
                "labels are whole numbers",
                path=self.name,
                got=got,
                expected="(n,) or (n, positions) integers",
            )
        for what, tensor in (("labels", self.labels), ("documents", self.documents)):
            if tensor is not None and len(tensor) != len(self):
                raise SurgeryError(
                    f"there is not one of {what} for each example",
                    path=self.name,
                    got=f"{len(tensor)} {what}",
                    expected=f"{len(self)}",
                )

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def label(self) -> str:
        """The name as reports print it, saying so when the data are not the user's."""
        return self.name if self.own or self.noise else f"{self.name}: not your data"

    @property
    def noun(self) -> str:
        """What one of them is called: window, image or example."""
        if IDS in self.inputs:
            return "window"
        return "image" if any(value.dim() == 4 for value in self.inputs.values()) else "example"

    def counting(self, count: int) -> str:
        """`40 windows`, `1 image`."""
        return f"{count:,} {self.noun}{'' if count == 1 else 's'}"

    @cached_property
    def order(self) -> Tensor:
        """The order in which examples are visited: a permutation of 0 … n-1, (n,) int64."""
        return torch.randperm(len(self), generator=torch.Generator().manual_seed(self.seed))

    def first(self, count: int) -> Examples:
        """Those that come first in the order, as examples of their own."""
        rows = self.order[:count]
        return replace(
            self,
            inputs={name: value[rows] for name, value in self.inputs.items()},
            labels=None if self.labels is None else self.labels[rows],
            counted=None if self.counted is None else self.counted[rows],
            documents=None if self.documents is None else self.documents[rows],
        )

    def batch(self, start: int, stop: int) -> Batch:
        """Examples `start` to `stop` (exclusive) of the order, on the CPU; without a mask of ones only."""
        rows = self.order[start:stop]
        inputs = {name: value[rows] for name, value in self.inputs.items()}
        if IDS in inputs and MASK in inputs and bool(inputs[MASK].all()):
            del inputs[MASK]
        return Batch(
            inputs,
            None if self.labels is None else self.labels[rows],
            None if self.counted is None else self.counted[rows],
        )

    def _check(self, name: str, value: Tensor) -> None:
        first = next(iter(self.inputs))
        if value.dim() == 0 or len(value) == 0 or value.numel() == 0:
            raise nothing(self.name, f"{name} of shape {tuple(value.shape)}")
        if len(value) != len(self):
            raise SurgeryError(
                "the inputs are not equally many",
                path=self.name,
                got=f"{len(value)} of {name}",
                expected=f"{len(self)}, as of {first}",
            )
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise SurgeryError(
                "the data hold values that are not numbers",
                path=self.name,
                got=f"{int((~value.isfinite()).sum()):,} NaN or infinite in {name}",
                expected="finite values",
            )

    def _check_tokens(self, ids: Tensor) -> None:
        shape, mask = tuple(ids.shape), self.inputs.get(MASK)
        if ids.dim() != 2 or ids.dtype != torch.int64:
            got = f"shape {shape}, {ids.dtype}"
            raise SurgeryError("windows are token ids", path=self.name, got=got, expected="(n, window) int64")
        if int(ids.min()) < 0:
            raise SurgeryError("token ids are never negative", path=self.name, got=int(ids.min()))
        for what, tensor in (("the mask does", mask), ("what is counted does", self.counted)):
            if tensor is not None and tuple(tensor.shape) != shape:
                got = f"shape {tuple(tensor.shape)}"
                raise SurgeryError(
                    f"{what} not fit the windows", path=self.name, got=got, expected=f"{shape}"
                )
        if mask is not None and not bool(mask.bool().any(1).all()):
            raise SurgeryError("a window is nothing but padding", path=self.name)


def nothing(name: str, got: str) -> SurgeryError:
    """The refusal of an empty data set."""
    return SurgeryError(
        "there is nothing to evaluate on", path=name, got=got, expected="at least one example"
    )


def _is_inexact(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool
