"""Gates on what modules give: at 1 nothing changes, and the slope there says what closing one would cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from surgery.advise.units import Outlet
from surgery.errors import SurgeryError
from surgery.evaluate.passing import first_given, sites
from surgery.evaluate.pooling import first_tensor

Gates = dict[str, list[Tensor]]
"""By path the gates of each call, (examples,) of a module and (examples, units) of one with units."""


@contextmanager
def gated(model: nn.Module, paths: Iterable[str], examples: int, *, blocks: Iterable[str]) -> Iterator[Gates]:
    """Within, a gate g per example on each module: it gives x + g (f(x) − x) of a block that keeps the
    shape of x, so that data would go past a closed one; of any other module g f(x).
    """
    gates: Gates = {}
    past = set(blocks)
    handles = []
    for module, places in sites(model, paths).items():
        turn = count()

        def after(
            module: nn.Module,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            output: Any,
            places: list[str] = places,
            turn: Iterator[int] = turn,
        ) -> Any:
            path = places[next(turn) % len(places)]
            gave, base = first_tensor(output), baseline(path in past, args, kwargs, output)
            if gave is None or not gave.is_floating_point() or len(gave) % examples:
                raise _ungated(path)
            gate = torch.ones(examples, device=gave.device, requires_grad=True)
            gates.setdefault(path, []).append(gate)
            wide = _spread(gate, gave)
            return replaced(output, gave * wide if base is None else base + wide * (gave - base), path)

        handles.append(module.register_forward_hook(after, with_kwargs=True))
    try:
        yield gates
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def gated_units(model: nn.Module, outlets: Iterable[Outlet], examples: int) -> Iterator[Gates]:
    """Within, a gate per example on each unit of these outlets, on what it hands to the layer behind it."""
    gates: Gates = {}
    handles = []
    for outlet in outlets:

        def before(module: nn.Module, args: tuple[Any, ...], outlet: Outlet = outlet) -> Any:
            given = args[0]
            gate = torch.ones(examples, outlet.count, device=given.device, requires_grad=True)
            gates.setdefault(outlet.linear, []).append(gate)
            wide = outlet.spread(gate).repeat_interleave(len(given) // examples, 0)
            shape = (len(given), *[1] * (given.dim() - 2), given.shape[-1])
            return (given * wide.to(given.dtype).view(shape), *args[1:])

        handles.append(model.get_submodule(outlet.linear).register_forward_pre_hook(before))
    try:
        yield gates
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def passed_by(model: nn.Module, path: str, *, block: bool) -> Iterator[None]:
    """Within, data goes past the module: a block gives its input, where that has its output's shape, any
    other module gives zeros.
    """

    def after(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        gave, base = first_tensor(output), baseline(block, args, kwargs, output)
        if gave is None:
            raise _ungated(path)
        return replaced(output, torch.zeros_like(gave) if base is None else base, path)

    handle = model.get_submodule(path).register_forward_hook(after, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def baseline(block: bool, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Tensor | None:
    """What stands in the place of a module's result: a block's input if it fits there; None for zeros."""
    gave, taken = first_tensor(output), first_given(args, kwargs)
    fits = gave is not None and taken is not None and (taken.shape, taken.dtype) == (gave.shape, gave.dtype)
    return taken if block and fits else None


def replaced(output: Any, tensor: Tensor, path: str) -> Any:
    """The output of a module with another first tensor."""
    if isinstance(output, Tensor):
        return tensor
    if type(output) in (tuple, list):
        return type(output)((tensor, *output[1:]))
    raise _ungated(path)


def slopes(loss: Tensor, gates: Gates) -> dict[str, Tensor]:
    """The slope of the loss along the gates of each path; of several calls their sum."""
    flat = [gate for held in gates.values() for gate in held]
    found = iter(torch.autograd.grad(loss, flat, allow_unused=True, materialize_grads=True))
    return {path: torch.stack([next(found) for _ in held]).sum(0) for path, held in gates.items()}


def _spread(gate: Tensor, gave: Tensor) -> Tensor:
    """The gates of examples in the shape of what a module gives; rows of one example stand together."""
    wide = gate.repeat_interleave(len(gave) // len(gate)).to(gave.dtype)
    return wide.view(-1, *[1] * (gave.dim() - 1))


def _ungated(path: str) -> SurgeryError:
    return SurgeryError(
        "nothing can stand in the place of what this module gives",
        path=path,
        expected="a tensor, or a tuple whose first is one, with a row per example",
        hint="a module inside it",
    )
