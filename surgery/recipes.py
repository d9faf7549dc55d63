"""The register of functions that recipes name, and how a lazy tensor is computed from them.

Every function is pure, takes tensors and plain values, and declares how it may be cut: `whole` (all of
each input at once), `rows` (each slice along the first dimension alone gives the same bits) or `slices`
(the same, of tensors of two dimensions or more). All run on one intra-op thread, since the thread count
changes the bits of sums and factorisations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

import torch

from surgery.lazy import Alias, Held, Known, Lazy, Recipe, Reduction, Stored
from surgery.reductions import reduced, tiles_of

Tiling = Literal["whole", "rows", "slices"]


@dataclass(frozen=True)
class Function:
    """A registered recipe function and how its inputs may be cut.

    Of one that may be cut, the first `whole` inputs are not: small tensors, such as statistics of the others.
    One that `gathers` has as its first input a tensor of which it takes the rows that its last input, int64,
    names (−1 for none); it may be given fewer of them, if the last input says where they lie then.
    One that is `placed` is told in `at` how many elements lie before what it gets. `workspace` is the most it
    holds besides inputs and result, in bytes per element of the largest of them.
    """

    name: str
    call: Callable[..., torch.Tensor]
    tiling: Tiling
    whole: int = 0
    placed: bool = False
    workspace: int = 0
    gathers: bool = False


FUNCTIONS: dict[str, Function] = {}


def function(
    *, tiling: Tiling, whole: int = 0, placed: bool = False, workspace: int = 0, gathers: bool = False
) -> Callable[[Callable[..., torch.Tensor]], Callable[..., torch.Tensor]]:
    """Registers a recipe function under its own name; see `Function`."""

    def register(call: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        FUNCTIONS[call.__name__] = Function(call.__name__, call, tiling, whole, placed, workspace, gathers)
        return call

    return register


_counting = Lock()
_inside = 0
_threads = 0


@contextmanager
def one_thread() -> Iterator[None]:
    """One intra-op thread inside; the former number once nobody is inside, in whatever thread."""
    global _inside, _threads
    with _counting:
        if _inside == 0:
            _threads = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _counting:
            _inside -= 1
            torch.set_num_threads(_threads if _inside == 0 else 1)


Values = Callable[[Held], torch.Tensor]
"""What the values of a slot's tensor are: its own, unless they lie elsewhere."""


def its_own(held: Held) -> torch.Tensor:
    """The tensor that the slot held when the step was planned."""
    return held.parameter.detach()


def compute(lazy: Lazy, memo: dict[int, torch.Tensor], values: Values = its_own) -> torch.Tensor:
    """The tensor `lazy` stands for, contiguous and owning its storage unless it is Held or its Alias.

    `memo` (by id of node) makes a node shared by several slots one tensor. `values` gives those of the
    tensors that slots held.
    """
    if isinstance(lazy, Held):
        return values(lazy)
    if isinstance(lazy, Alias):
        return compute(lazy.inputs[0], memo, values)
    if id(lazy) not in memo:
        with torch.no_grad(), one_thread():
            memo[id(lazy)] = _owned(_computed(lazy, memo, values), lazy, memo, values)
    return memo[id(lazy)]


def _computed(lazy: Lazy, memo: dict[int, torch.Tensor], values: Values) -> torch.Tensor:
    if isinstance(lazy, Stored):
        from surgery.checkpoint.tensors import read_tensor

        return read_tensor(lazy.file, lazy.name)
    if isinstance(lazy, Known):
        return lazy.tensor.clone()
    if isinstance(lazy, Recipe):
        inputs = [compute(item, memo, values) for item in lazy.inputs]
        arguments: dict[str, Any] = dict(lazy.arguments)
        if not inputs:
            arguments |= {"shape": lazy.shape, "dtype": lazy.dtype}
        return FUNCTIONS[lazy.function].call(*inputs, **arguments)
    if isinstance(lazy, Reduction):
        return reduced(lazy, lambda item: tiles_of(compute(item, memo, values)))
    raise TypeError(f"{type(lazy).__name__} is no lazy tensor that can be computed")


def _owned(tensor: torch.Tensor, lazy: Lazy, memo: dict[int, torch.Tensor], values: Values) -> torch.Tensor:
    """The result apart from its inputs: a function may have returned one of them, or a part."""
    assert tuple(tensor.shape) == lazy.shape and tensor.dtype == lazy.dtype, (
        f"{lazy} was declared {lazy.shape} {lazy.dtype}, computed {tuple(tensor.shape)} {tensor.dtype}"
    )
    whole = tensor.untyped_storage().nbytes() == tensor.nbytes
    place = tensor.untyped_storage().data_ptr()
    borrowed = any(compute(item, memo, values).untyped_storage().data_ptr() == place for item in lazy.inputs)
    return (
        tensor
        if whole and not borrowed and tensor.is_contiguous()
        else tensor.clone(memory_format=torch.contiguous_format)
    )


def compute_on(planned: Callable[..., Lazy], *tensors: torch.Tensor) -> torch.Tensor:
    """What a recipe that `planned` makes of lazy tensors comes to on these: a measure may go on with it."""
    lazies = [Known(shape=tuple(tensor.shape), dtype=tensor.dtype, tensor=tensor) for tensor in tensors]
    return compute(planned(*lazies), {})
