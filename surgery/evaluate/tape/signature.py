"""What a module is: everything of it that its forward can read, to be compared.

Parameters are known by their storage and their version, which costs nothing; buffers, of which every shell
has its own, by their values. Configs are left out: which of their fields a call reads is watched instead
(`configs`), since every edit of the depth changes one.
"""

from __future__ import annotations

from collections.abc import Container, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from graph.configs import is_config
from graph.tree import unwrapped
from surgery.evaluate.tape.values import Unsayable, digest, said

_TORCHS_OWN = frozenset(nn.Module().__dict__)
_CALLED_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_HARMLESS = ("transformers.utils.output_capturing", "surgery.evaluate.running", "surgery.stopping")
"""Whose hooks do nothing to what a forward gives: some left from an earlier call, and our own."""


@dataclass(frozen=True, eq=False)
class Signature:
    """`said` is all that is compared; `configs` are the config objects of the module, by order of finding;
    `storages` its parameters' memory, not kept alive.
    """

    said: Hashable
    configs: tuple[Any, ...]
    storages: tuple[StorageWeakRef, ...]


def signature(module: nn.Module, *, leaving_out: Container[str] = ()) -> Signature:
    """The signature of `module` with all below it; attributes of the names in `leaving_out` are not read.

    Raises Unsayable where its forward may read more than can be compared: modules outside, hooks of the
    user, a forward replaced on the instance, objects with a state of their own.
    """
    return _Reader(module, leaving_out).read()


def place_of(tensor: Tensor) -> Hashable:
    """A tensor by its memory: equal only for the same elements that nobody wrote into meanwhile.

    What goes past the version counter (`p.data.mul_`, numpy) is not seen.
    """
    if (
        type(tensor) not in (Tensor, nn.Parameter)
        or tensor.layout is not torch.strided
        or tensor.is_inference()
    ):
        raise Unsayable(type(tensor).__name__)
    storage = tensor.untyped_storage()
    where = (storage._cdata, tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
    return ("memory", *where, tensor.dtype, tensor._version)


class _Reader:
    def __init__(self, module: nn.Module, leaving_out: Container[str]) -> None:
        self.leaving_out = leaving_out
        self.modules: dict[int, int] = {}
        self.order: list[nn.Module] = []
        for inner in module.modules():
            self.modules[id(inner)] = len(self.order)
            self.order.append(inner)
        self.configs: dict[int, int] = {}
        self.config_objects: list[Any] = []
        self.storages: dict[int, StorageWeakRef] = {}

    def read(self) -> Signature:
        read = tuple(self.module(module) for module in self.order)
        return Signature(read, tuple(self.config_objects), tuple(self.storages.values()))

    def module(self, module: nn.Module) -> Hashable:
        held = module.__dict__
        for name in _CALLED_HOOKS:
            if not all(
                str(getattr(hook, "__module__", "")).startswith(_HARMLESS) for hook in held[name].values()
            ):
                raise Unsayable("a hook")
        attributes = []
        for name, value in held.items():
            if name in self.leaving_out or (name in _TORCHS_OWN and name != "training"):
                continue
            if not hasattr(value, "taped"):
                attributes.append((name, said(value, self.known)))
        return (
            type(module),
            type(module).forward,
            tuple(attributes),
            tuple((name, self.parameter(value)) for name, value in module._parameters.items()),
            tuple(
                (name, None if value is None else digest(value)) for name, value in module._buffers.items()
            ),
            tuple((name, self.child(child)) for name, child in module._modules.items()),
        )

    def child(self, child: nn.Module | None) -> int | None:
        return None if child is None else self.modules.get(id(child), self.modules.get(id(unwrapped(child))))

    def parameter(self, parameter: nn.Parameter | None) -> Hashable:
        if parameter is None:
            return None
        place = place_of(parameter)
        storage = parameter.untyped_storage()
        if storage._cdata not in self.storages:
            self.storages[storage._cdata] = StorageWeakRef(storage)
        return place

    def known(self, value: Any) -> Hashable | None:
        """Modules below by their number, configs by the order they were found in; None for all else."""
        if isinstance(value, nn.Module):
            if id(value) not in self.modules:
                raise Unsayable("a module outside")
            return ("module", self.modules[id(value)])
        if isinstance(value, nn.Parameter):
            return self.parameter(value)
        if isinstance(value, Tensor) or not is_config(value):
            return None
        if id(value) not in self.configs:
            self.configs[id(value)] = len(self.config_objects)
            self.config_objects.append(value)
        return ("config", self.configs[id(value)])
