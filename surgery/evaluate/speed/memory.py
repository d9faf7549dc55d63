"""What a forward needs of memory, and what a model takes on disk."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(call: Callable[[], object], model: nn.Module, device: torch.device) -> int:
    """The most memory in use during `call`: the weights of `model` and what the call holds at a time, bytes.

    On CUDA the allocator says it, workspaces included; elsewhere the tensors that live are counted, without
    what an operator takes and gives back inside itself.
    """
    weights = stored_bytes(model)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return weights + int(torch.cuda.max_memory_allocated(device)) - int(before)
    living = _Living(model)
    with living:
        call()
    return weights + living.peak_bytes


def stored_bytes(model: nn.Module) -> int:
    """What the tensors of a model take in a safetensors file: each once, however many paths it has, bytes."""
    sizes: dict[tuple[int, int], int] = {}
    for tensor in model.state_dict(keep_vars=True).values():
        if isinstance(tensor, torch.Tensor):
            place = (tensor.untyped_storage()._cdata, int(tensor.storage_offset()))
            sizes[place] = max(sizes.get(place, 0), tensor.numel() * tensor.element_size())
    return sum(sizes.values())


class _Living(TorchDispatchMode):
    """Counts the bytes of storages that were made inside and live."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now_bytes = self.peak_bytes = 0
        tensors = [*model.parameters(), *model.buffers()]
        self._seen: set[int] = {tensor.untyped_storage()._cdata for tensor in tensors}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor):
                self._seen.add(tensor.untyped_storage()._cdata)
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place in self._seen:
            return
        self._seen.add(place)
        self.now_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.now_bytes)
        weakref.finalize(storage, self._gone, place, size)

    def _gone(self, place: int, size: int) -> None:
        self._seen.discard(place)
        self.now_bytes -= size
