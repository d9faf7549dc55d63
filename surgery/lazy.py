"""Lazy tensors: what an edit writes, described before anything is computed.

A lazy tensor knows its shape and dtype. It is the tensor of a slot as it was bound when the step was
planned (`Held`), that tensor in a Parameter of its own (`Alias`), a tensor of another checkpoint
(`Stored`), one at hand (`Known`), or a registered function over lazy tensors with plain arguments (`Recipe`,
`Reduction`). Inputs are nodes, never names: a name would mean something else after the next edit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

Plain = bool | int | float | str | tuple[float, ...] | tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Lazy:
    """A tensor to be: `shape`, `dtype`, and `inputs` it is made from. Compared by identity."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    inputs: tuple[Lazy, ...] = ()

    @property
    def count(self) -> int:
        """Number of elements."""
        return torch.Size(self.shape).numel()


@dataclass(frozen=True, eq=False, kw_only=True)
class Held(Lazy):
    """The very parameter, or buffer, that a slot holds; written to another slot it makes a tie."""

    parameter: torch.Tensor

    @classmethod
    def of(cls, parameter: torch.Tensor) -> Held:
        made = object.__new__(cls)  # a preview makes one for each parameter, and the constructor takes long
        made.__dict__.update(
            shape=tuple(parameter.shape), dtype=parameter.dtype, inputs=(), parameter=parameter
        )
        return made


@dataclass(frozen=True, eq=False, kw_only=True)
class Alias(Lazy):
    """The very tensor of a slot, its only input, in a Parameter of its own: nothing is copied."""

    @classmethod
    def of(cls, held: Held) -> Alias:
        return cls(shape=held.shape, dtype=held.dtype, inputs=(held,))


@dataclass(frozen=True, eq=False, kw_only=True)
class Stored(Lazy):
    """A tensor called `name` in the safetensors file `file`."""

    file: Path
    name: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Known(Lazy):
    """A tensor that is at hand, such as what a measure found."""

    tensor: torch.Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Recipe(Lazy):
    """`function` of `inputs` with plain `arguments`; see `surgery.recipes` for the functions."""

    function: str
    arguments: dict[str, Plain] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduction(Lazy):
    """A small tensor from a pass or more over all `inputs`, one input at a time."""

    function: str
    arguments: dict[str, Plain] = field(default_factory=dict)


def recipe(
    function: str,
    *inputs: Lazy,
    shape: tuple[int, ...] | None = None,
    dtype: torch.dtype | None = None,
    **arguments: Plain,
) -> Recipe:
    """A Recipe; shape and dtype are the first input's unless given."""
    made = object.__new__(Recipe)
    made.__dict__.update(
        shape=inputs[0].shape if shape is None else shape,
        dtype=inputs[0].dtype if dtype is None else dtype,
        inputs=inputs,
        function=function,
        arguments=arguments,
    )
    return made


def recipe_like(like: Lazy, function: str, *inputs: Lazy, **arguments: Plain) -> Recipe:
    """A Recipe of the shape and dtype of `like`."""
    return recipe(function, *inputs, shape=like.shape, dtype=like.dtype, **arguments)


def nodes(lazies: Iterable[Lazy]) -> list[Lazy]:
    """They and all that they are made from, each once."""
    found = list(dict.fromkeys(lazies))
    seen = set(found)
    for node in found:  # grows while it is read
        further = [item for item in dict.fromkeys(node.inputs) if item not in seen]
        seen.update(further)
        found += further
    return found
