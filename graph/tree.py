"""Walking a live module tree: every path, reused modules at each of their places."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import nn

Kind = Literal["parameter", "buffer"]


def join(parent: str, name: str) -> str:
    """The dotted path of child `name` of `parent`; the root is the empty path."""
    return f"{parent}.{name}" if parent else name


def walk(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every (path, module) of the tree, parents first, children in order of registration.

    Unlike `named_modules`, a reused module appears at each of its paths, and a module that holds
    one of its own ancestors doesn't recurse forever: the ancestor isn't entered again.
    """
    yield from _walk("", model, ())


def _walk(path: str, module: nn.Module, above: tuple[nn.Module, ...]) -> Iterator[tuple[str, nn.Module]]:
    yield path, module
    above = (*above, module)
    for name, child in module._modules.items():
        if child is not None and not any(child is ancestor for ancestor in above):
            yield from _walk(join(path, name), child, above)


def own_tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor, Kind]]:
    """(name, tensor, kind) of the parameters and buffers `module` itself holds, parameters first."""
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield name, parameter, "parameter"
    for name, buffer in module._buffers.items():
        if buffer is not None:
            yield name, buffer, "buffer"
