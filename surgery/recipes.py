"""The registered functions that recipes name, and how one is computed.

Every function is pure, takes tensors and plain values, and declares how it may be cut: `whole` (all of
each input at once) or `rows` (each slice along the first dimension alone gives the same bits). All run
on one intra-op thread, since the thread count changes the bits of sums and factorisations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from surgery.lazy import Held, Lazy, Recipe, Reduction, Stored

Tiling = Literal["whole", "rows"]


@dataclass(frozen=True)
class Function:
    """A registered recipe function and how its inputs may be cut."""

    name: str
    call: Callable[..., torch.Tensor]
    tiling: Tiling


class ReductionRun(Protocol):
    """The state of one reduction: `passes` passes of `update` over the inputs, then `finish`."""

    passes: int

    def update(self, number: int, index: int, tensor: torch.Tensor) -> None: ...
    def end_pass(self, number: int) -> None: ...
    def finish(self) -> torch.Tensor: ...


FUNCTIONS: dict[str, Function] = {}
REDUCTIONS: dict[str, Callable[..., ReductionRun]] = {}


def function(*, tiling: Tiling) -> Callable[[Callable[..., torch.Tensor]], Callable[..., torch.Tensor]]:
    """Registers a recipe function under its own name."""

    def register(call: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        FUNCTIONS[call.__name__] = Function(call.__name__, call, tiling)
        return call

    return register


@contextmanager
def one_thread() -> Iterator[None]:
    """One intra-op thread inside, the former number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compute(lazy: Lazy, memo: dict[int, torch.Tensor]) -> torch.Tensor:
    """The tensor `lazy` stands for, contiguous and owning its storage unless it is Held.

    `memo` (by id of node) makes a node shared by several slots one tensor.
    """
    if isinstance(lazy, Held):
        return lazy.parameter.detach()
    if id(lazy) not in memo:
        with torch.no_grad(), one_thread():
            memo[id(lazy)] = _owned(_computed(lazy, memo), lazy)
    return memo[id(lazy)]


def _computed(lazy: Lazy, memo: dict[int, torch.Tensor]) -> torch.Tensor:
    if isinstance(lazy, Stored):
        from surgery.checkpoint.tensors import read_tensor

        return read_tensor(lazy.file, lazy.name)
    if isinstance(lazy, Recipe):
        inputs = [compute(item, memo) for item in lazy.inputs]
        arguments: dict[str, Any] = dict(lazy.arguments)
        if not inputs:
            arguments |= {"shape": lazy.shape, "dtype": lazy.dtype}
        return FUNCTIONS[lazy.function].call(*inputs, **arguments)
    if isinstance(lazy, Reduction):
        run = REDUCTIONS[lazy.function](len(lazy.inputs), **lazy.arguments)
        for number in range(run.passes):
            for index, item in enumerate(lazy.inputs):
                run.update(number, index, compute(item, memo))
            run.end_pass(number)
        return run.finish()
    raise TypeError(f"{type(lazy).__name__} is no lazy tensor that can be computed")


def _owned(tensor: torch.Tensor, lazy: Lazy) -> torch.Tensor:
    assert tuple(tensor.shape) == lazy.shape and tensor.dtype == lazy.dtype, (
        f"{lazy} was declared {lazy.shape} {lazy.dtype}, computed {tuple(tensor.shape)} {tensor.dtype}"
    )
    whole = tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole and tensor.is_contiguous() else tensor.clone(memory_format=torch.contiguous_format)


@function(tiling="rows")
def copy(source: torch.Tensor) -> torch.Tensor:
    """The same values in storage of their own."""
    return source.clone()


@function(tiling="rows")
def weighted_sum(*sources: torch.Tensor, weights: tuple[float, ...]) -> torch.Tensor:
    """Σ wᵢ θᵢ, added from the first to the last in float32 (float64 for float64), in the first's dtype."""
    wide = torch.promote_types(sources[0].dtype, torch.float32)
    total = sources[0].to(wide) * weights[0]
    for source, weight in zip(sources[1:], weights[1:], strict=True):
        total = total + source.to(wide) * weight
    return total.to(sources[0].dtype)


@function(tiling="whole")
def zeros(*, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """All zero."""
    return torch.zeros(shape, dtype=dtype)


@function(tiling="whole")
def uniform(
    *, low: float, high: float, seed: int, path: str, shape: tuple[int, ...], dtype: torch.dtype
) -> torch.Tensor:
    """Uniform in [low, high), from a CPU generator seeded by (seed, path): whatever else is drawn."""
    digest = hashlib.sha256(f"{seed}:{path}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return (torch.rand(shape, generator=generator) * (high - low) + low).to(dtype)


@function(tiling="whole")
def fold_low_rank(
    weight: torch.Tensor, down: torch.Tensor, up: torch.Tensor, *, scale: float, transposed: bool
) -> torch.Tensor:
    """W + scale · B A in float32 or wider; `transposed` for weights stored as inputs × outputs."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    delta = scale * (up.to(wide) @ down.to(wide))
    return (weight.to(wide) + (delta.T if transposed else delta)).to(weight.dtype)


import surgery.magnitude  # noqa: E402, F401  registers the functions of magnitude pruning
