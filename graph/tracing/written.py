"""Writes in place into tensors that are no fakes: they go into fakes that stand for them.

A forward may hold a tensor by ways that a shell doesn't see, such as a closure. Reads of it need no care:
a fake mode makes one fake of each tensor that it meets and keeps to it, and that is the one written into.
"""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from graph.tracing.schemas import Traits


def into_fakes(
    traits: Traits, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of an operator with these traits, a fake for each real tensor that it writes into.

    Raises what the mode raises for a tensor that has no fake: then nothing was written.
    """
    args = tuple(_fake(value, mode) if place in traits.writes else value for place, value in enumerate(args))
    kwargs = {name: _fake(value, mode) if name in traits.writes else value for name, value in kwargs.items()}
    return args, kwargs


def _fake(value: Any, mode: FakeTensorMode) -> Any:
    if isinstance(value, list | tuple):  # several at once, as an optimiser has them
        return type(value)(_fake(item, mode) for item in value)
    if not isinstance(value, torch.Tensor) or isinstance(value, FakeTensor):
        return value
    return mode.from_tensor(value)
