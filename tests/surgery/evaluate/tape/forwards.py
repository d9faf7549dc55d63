"""Forwards with and without a tape, on shells as an evaluator has them."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from graph.shell import shell
from surgery.evaluate.tape import Tape


def tape(limit_bytes: int = 100_000_000) -> Tape:
    """A tape on the CPU."""
    return Tape(torch.device("cpu"), limit_bytes)


def full(model: nn.Module, inputs: Any) -> list[Tensor]:
    """All tensors that a shell of the model gives."""
    return _called(shell(model).model.eval(), inputs)


def taped(tape: Tape, model: nn.Module, inputs: Any, place: tuple[int, int] = (0, 1)) -> list[Tensor]:
    """The same over the tape, as one evaluation of one batch."""
    made = shell(model).model.eval()
    tape.begin()
    blocks = tape.thread(made)
    try:
        with tape.over(place):
            return _called(made, inputs)
    finally:
        tape.release(blocks)


def equal(one: list[Tensor], two: list[Tensor]) -> bool:
    """Whether all are the same, bit for bit."""
    return len(one) == len(two) and all(map(torch.equal, one, two))


def changed(model: nn.Module, path: str, factor: float = 1.25) -> nn.Module:
    """A shell of the model whose parameter at `path` has its values times `factor`."""
    made = shell(model).model
    owner, _, name = path.rpartition(".")
    held = made.get_submodule(owner)._parameters
    parameter = held[name]
    assert parameter is not None
    held[name] = nn.Parameter(parameter.detach() * factor)
    return made


def without_cache(model: nn.Module, inputs: Any) -> Any:
    """The inputs with the cache switched off where the model would have one."""
    takes = inspect.signature(model.forward).parameters
    return {**inputs, "use_cache": False} if isinstance(inputs, dict) and "use_cache" in takes else inputs


def _called(model: nn.Module, inputs: Any) -> list[Tensor]:
    with torch.no_grad():
        return _tensors(model(**inputs) if isinstance(inputs, dict) else model(*inputs))


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if dataclasses.is_dataclass(output):
        output = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, list | tuple):
        return [tensor for item in output for tensor in _tensors(item)]
    return []
