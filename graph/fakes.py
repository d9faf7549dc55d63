"""A model and its inputs with fake tensors: shapes and dtypes of CPU tensors, and no memory.

Meta tensors won't do: models ask for values while they build masks, and a plain meta forward fails.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from graph.shell import Shell, shell


def fake_mode() -> FakeTensorMode:
    """A mode in which fake tensors live; tensors a model hides from its tree may join in."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def fake_shell(model: nn.Module, mode: FakeTensorMode) -> Shell:
    """A shell of `model`, in eval mode, whose parameters and buffers are fake CPU tensors.

    Parameters may be real or on meta; ties and reused modules stay. Raises NotShellable.
    """

    def parameter(old: nn.Parameter) -> nn.Parameter:
        # What nn.Parameter does to tensors of other classes, less a detach per parameter.
        made = fake(old, mode)
        made._is_param = True
        return cast(nn.Parameter, made)

    def buffer(old: torch.Tensor) -> torch.Tensor:
        return fake(old, mode)

    made = shell(model, parameter, buffer)
    made.model.eval()
    return made


def fake(tensor: torch.Tensor, mode: FakeTensorMode) -> torch.Tensor:
    """A fake CPU tensor of the same shape, strides and dtype; its values are unknown."""
    with mode:
        if tensor.layout != torch.strided:
            return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")


def tensors_in(value: object) -> Iterator[torch.Tensor]:
    """Tensors inside nested tuples, lists, mappings and dataclasses, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield from tensors_in(getattr(value, entry.name, None))


def map_tensors(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """`value` with each tensor in its tuples, lists and mappings changed; the rest as it is."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(map_tensors(item, change) for item in value)
    if isinstance(value, Mapping):
        return {key: map_tensors(item, change) for key, item in value.items()}
    return value
