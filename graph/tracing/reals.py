"""A model and its inputs for a run on real values: what the run may write into is its own."""

from collections import Counter
from typing import Any, cast

import torch
from torch import nn

from graph.holders import map_tensors
from graph.shell import Shell, lazy_like, parameter_like, shell
from graph.tracing.fakes import resting
from graph.tree import is_lazy, own_tensors, walk


def real_shell(model: nn.Module) -> Shell:
    """A shell of `model`, in eval mode, whose parameters are clones.

    All of them, though few forwards write into their weights: a view taken before could not be told from
    the weight. So a run takes the memory of the weights once more. What shared memory shares a clone of it.
    """
    made = shell(model, _Clones(model).parameter, seal=True)
    resting(made.source_of)
    return made


def given_clone(inputs: Any) -> Any:
    """Inputs with a clone for each tensor."""
    return map_tensors(inputs, torch.clone, objects=True)


class _Clones:
    def __init__(self, model: nn.Module) -> None:
        found = {id(tensor): tensor for _, module in walk(model) for _, tensor, _ in own_tensors(module)}
        self.shared = Counter(map(_storage, found.values()))
        self.storages: dict[int, torch.UntypedStorage] = {}

    def parameter(self, old: nn.Parameter) -> nn.Parameter:
        if is_lazy(old):
            return cast(nn.Parameter, lazy_like(old, old.device))
        return parameter_like(old, self.clone(old.detach()))

    def clone(self, old: torch.Tensor) -> torch.Tensor:
        key = _storage(old)
        if key is None or self.shared[key] < 2:
            return old.clone()
        if key not in self.storages:
            self.storages[key] = old.untyped_storage().clone()
        made = torch.empty(0, dtype=old.dtype, device=old.device)
        return made.set_(self.storages[key], old.storage_offset(), old.shape, old.stride())


def _storage(tensor: torch.Tensor) -> int | None:
    """A number equal for strided tensors over one storage; None for tensors without one."""
    plain = type(tensor) in (torch.Tensor, nn.Parameter) and tensor.layout == torch.strided
    if not plain or tensor.is_meta or tensor.is_quantized or tensor.is_nested or is_lazy(tensor):
        return None
    return int(tensor.untyped_storage()._cdata)
