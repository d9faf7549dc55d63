"""The tree of modules that the names of tensors make, where no class is loaded to make them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from surgery.lazy import Lazy

_FIRST = ("embed_tokens",)  # what stands before the blocks


class Named(nn.Module):
    """A module of which the name is known, and no more."""


def tree(stored: Mapping[str, Lazy], modules: tuple[str, ...] = ()) -> nn.Module:
    """Modules and parameters on meta by the names of tensors; what is numbered from 0 is a list.

    `modules` of a block in the order that its class has; other things are in that of the names given.
    """
    root = Named()
    places = {name: number for number, name in enumerate(modules)}
    for name in sorted(stored, key=lambda name: _order(name, places)):
        *path, last = name.split(".")
        module: nn.Module = root
        for part, inner in zip(path, [*path[1:], last], strict=True):
            if part not in module._modules:
                module._modules[part] = nn.ModuleList() if inner.isdigit() else Named()
            found = module._modules[part]
            assert found is not None
            module = found
        lazy = stored[name]
        empty = torch.empty(lazy.shape, dtype=lazy.dtype, device="meta")
        module._parameters[last] = nn.Parameter(empty, requires_grad=False)
    for module in root.modules():
        if isinstance(module, nn.ModuleList):
            module._modules = dict(sorted(module._modules.items(), key=lambda item: int(item[0])))
    return root


def _order(name: str, places: Mapping[str, int]) -> tuple[int, int, bool]:
    """What stands before the blocks, the blocks, the rest: files have them by the alphabet.

    In a block the modules by their places, each with its weight before its bias.
    """
    parts = name.split(".")
    if any(part in _FIRST for part in parts):
        return 0, 0, False
    number = next((index for index, part in enumerate(parts) if part.isdigit()), None)
    if number is None:
        return 2, 0, False
    inside = ".".join(parts[number + 1 : -1])
    return 1, places.get(inside, 0), bool(places) and parts[-1] == "bias"
