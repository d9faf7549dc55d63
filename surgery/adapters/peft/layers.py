"""PEFT's own layers: built around a module from a seed, and bound to tensors that lie elsewhere."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from threading import RLock
from typing import Any

import torch
from torch import nn

from surgery.adapters.peft.described import standing_in

NAME = "default"
"""What PEFT calls the adapter inside its layers; what it is called here is the business of `called`."""

_drawing = RLock()


class Tree(nn.Module):
    """Modules at their paths and nothing else: a model as far as PEFT is concerned."""

    def __init__(self, members: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for path, module in members.items():
            around: nn.Module = self
            *parents, name = path.split(".")
            for part in parents:
                if part not in around._modules:
                    around.add_module(part, Tree({}))
                around = around.get_submodule(part)
            around.add_module(name, module)


@dataclass(frozen=True)
class Own:
    """A parameter of a layer: its name in our adapter, and where it is in PEFT's layer."""

    name: str
    path: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    trainable: bool

    @property
    def stored(self) -> str:
        """What PEFT's file calls it, behind the path of the module."""
        return ".".join(part for part in self.path if part != NAME)


def config(spec: str, targets: list[str]) -> Any:
    """PEFT's configuration of what a spec says, for these targets."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    told = json.loads(spec)
    return PEFT_TYPE_TO_CONFIG_MAPPING[told["type"]](target_modules=targets, **told["options"])


def injected(spec: str, members: Mapping[str, nn.Module], seed: int) -> dict[str, nn.Module]:
    """PEFT's layers around these modules by path, with what a seed draws; the state of others stays."""
    from peft import inject_adapter_in_model

    tree = Tree(members)
    with _drawing, torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT speaks of the tree, which nobody has made but we
        torch.manual_seed(seed)
        inject_adapter_in_model(config(spec, list(members)), tree, NAME)
    return {path: tree.get_submodule(path).eval() for path in members}


def built(spec: str, module: nn.Module, seed: int) -> nn.Module:
    """PEFT's layer around one module."""
    return injected(spec, {"layer": module}, seed)["layer"]


@lru_cache(maxsize=64)
def template(spec: str, described: str, seed: int) -> nn.Module:
    """A layer around a module without values, to read shapes and fixed tensors from; nobody changes it."""
    with torch.no_grad():
        return built(spec, standing_in(described), seed)


@lru_cache(maxsize=4)
def drawn(spec: str, described: str, seed: int) -> nn.Module:
    """A layer with the values that a seed draws: its parameters are asked for one after another."""
    with torch.no_grad():
        return built(spec, standing_in(described), seed)


def owned(layer: nn.Module) -> list[Own]:
    """The parameters of a layer that are not its base's."""
    found = [(path, item) for path, item in layer.named_parameters() if path.split(".")[0] != "base_layer"]
    made: list[Own] = []
    for path, item in found:
        parts = tuple(path.split("."))
        name = "__".join(part for part in parts if part != NAME)
        made.append(Own(name, parts, tuple(item.shape), item.dtype, item.requires_grad))
    return made


def values(layer: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of `owned`, by the names that they have in our adapter."""
    known = dict(layer.named_parameters())
    return {item.name: known[".".join(item.path)].detach() for item in owned(layer)}


def state(layer: nn.Module) -> dict[str, torch.Tensor]:
    """What tensors a layer holds beside parameters, in buffers or in dictionaries of its own, by place."""
    found: dict[str, torch.Tensor] = {}

    def visit(module: nn.Module, path: str) -> None:
        for name, buffer in module._buffers.items():
            if buffer is not None:
                found[f"{path}{name}"] = buffer
        for name, value in module.__dict__.items():
            if not name.startswith("_") or isinstance(value, torch.Tensor):
                for place, tensor in _tensors(value, f"{path}{name}"):
                    found[place] = tensor
        for name, inner in module._modules.items():
            if inner is not None and name != "base_layer":
                visit(inner, f"{path}{name}.")

    visit(layer, "")
    return found


def _tensors(value: Any, place: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from _tensors(item, f"{place}.{at}")


def bound(
    layer: nn.Module, base: nn.Module, own: Mapping[str, torch.Tensor], training: bool = False
) -> nn.Module:
    """A layer like this one around `base`, whose parameters are the very tensors `own`.

    Only the modules are new: it costs no more than a few dictionaries.
    """
    device = next(iter(own.values())).device
    made = _copied(layer, lambda tensor: tensor.to(device), training)
    made._modules["base_layer"] = base
    for item in owned(layer):
        *around, last = item.path
        holder: Any = made
        for part in around:
            holder = holder._modules[part]
        holder._parameters[last] = own[item.name]
    return made


def _copied(module: nn.Module, moved: Callable[[torch.Tensor], torch.Tensor], training: bool) -> nn.Module:
    made: nn.Module = object.__new__(type(module))
    made.__dict__.update(module.__dict__)
    made.__dict__["training"] = training
    made.__dict__["_parameters"] = dict(module._parameters)
    made.__dict__["_buffers"] = {
        name: None if item is None else moved(item) for name, item in module._buffers.items()
    }
    made.__dict__["_modules"] = {
        name: inner if inner is None or name == "base_layer" else _copied(inner, moved, training)
        for name, inner in module._modules.items()
    }
    for name, value in module.__dict__.items():
        if isinstance(value, list | set):
            made.__dict__[name] = type(value)(value)  # `merged_adapters`: what is merged is one's own
    return made
