"""What was collected lately, so that several operations on one state run the model once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

from surgery.fingerprint import tensor_digest

if TYPE_CHECKING:
    from surgery.calibration.observing import Inputs

LIMIT_BYTES = 1 << 30
"""What all of it together may take; more than that of one state is not kept at all."""


class Sign:
    """What a collection is of: tensors by their storage and version, and plain values.

    It keeps no tensor alive. Of one whose tensors are gone no other can be equal: the storages' addresses
    stay taken as long as the sign does.
    """

    def __init__(self, tensors: Iterable[Tensor], plain: Hashable) -> None:
        tensors = list(tensors)
        self._storages = [StorageWeakRef(tensor.untyped_storage()) for tensor in tensors]
        described = tuple(
            (tensor.storage_offset(), tensor._version, tuple(tensor.shape), tensor.stride(), tensor.dtype)
            for tensor in tensors
        )
        self.key = (tuple(storage.cdata for storage in self._storages), described, plain)

    @property
    def is_gone(self) -> bool:
        """Whether a tensor it is of is no more."""
        return any(storage.expired() for storage in self._storages)


def sign_of(model: nn.Module, batches: Sequence[Any]) -> Sign | None:
    """The sign of a model in its state and of batches; None where tensors count no versions.

    Two shells of one model have one sign; any edit gives another, for it sets other tensors, modules or
    plain attributes.
    """
    tensors = list(model.parameters())
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    buffers = model.named_buffers(remove_duplicate=False)  # each shell has its own: their values count
    values = tuple((name, tensor_digest(buffer)) for name, buffer in buffers)
    modules = [(path, type(module), _settings(module)) for path, module in _walk(model)]
    config: Any = getattr(model, "config", None)
    said = repr(config.to_dict() if hasattr(config, "to_dict") else config)
    data = [leaf for leaf in tree_leaves(list(map(_plain, batches))) if isinstance(leaf, Tensor)]
    if any(tensor.is_inference() or tensor.layout != torch.strided for tensor in (*tensors, *data)):
        return None
    return Sign([*tensors, *data], (tuple(names), values, tuple(modules), said))


def _walk(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return list(model.named_modules(remove_duplicate=False))


def _settings(module: nn.Module) -> tuple[tuple[str, Any], ...]:
    held = module.__dict__.items()
    return tuple((name, value) for name, value in held if isinstance(value, bool | int | float | str))


def _plain(batch: Any) -> Any:
    return dict(batch) if isinstance(batch, Mapping) else batch


class Kept:
    """Inputs of layers by what they were collected on, the latest at the end; at most `limit_bytes`."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._found: OrderedDict[Hashable, tuple[Sign, dict[str, Inputs]]] = OrderedDict()
        self._lock = Lock()

    @property
    def size_bytes(self) -> int:
        """What it takes now."""
        return sum(_size(found) for _, found in self._found.values())

    def get(self, sign: Sign) -> dict[str, Inputs]:
        """What is known of layers, by path."""
        with self._lock:
            self._drop_gone()
            if sign.key not in self._found:
                return {}
            self._found.move_to_end(sign.key)
            return dict(self._found[sign.key][1])

    def put(self, sign: Sign, found: Mapping[str, Inputs]) -> None:
        """Keeps these too; those used longest ago go where there is no room."""
        with self._lock:
            self._drop_gone()
            before = self._found.pop(sign.key, (sign, {}))
            both = before[1] | dict(found)
            for chosen in (both, dict(found)):
                if _size(chosen) <= self.limit_bytes:
                    self._found[sign.key] = (before[0], chosen)
                    break
            while self.size_bytes > self.limit_bytes:
                self._found.popitem(last=False)

    def forget(self) -> None:
        """Weights were written to in a way that nobody counts."""
        with self._lock:
            self._found.clear()

    def _drop_gone(self) -> None:
        for key in [key for key, (sign, _) in self._found.items() if sign.is_gone]:
            del self._found[key]


def _size(found: Mapping[str, Inputs]) -> int:
    held = {id(tensor): tensor.nbytes for item in found.values() for tensor in item.tensors()}
    return sum(held.values())
