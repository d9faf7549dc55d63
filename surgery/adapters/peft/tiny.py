"""Small modules like a given one, and inputs for them: what PEFT is asked with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from surgery.adapters.lora import is_transposed
from surgery.adapters.peft.described import description, standing_in

_SIZES = ((16, 24), (64, 128), (256, 512))
"""Inputs and outputs to try one after another: block sizes and counts by default are large for small ones."""
_LARGEST, _LONGEST, _MOST = 2**16, 512, 2**19
_SIDE = 12


def tiny(module: nn.Module) -> Iterator[str]:
    """Descriptions of small modules that differ from this one in their widths alone, the smallest first.

    Where nothing is known of a class it is the module itself, if it has few parameters; nothing otherwise.
    """
    for inputs, outputs in _SIZES:
        if (made := _smaller(module, inputs, outputs)) is not None and (text := description(made)):
            yield text
    few = sum(item.numel() for item in module._parameters.values() if item is not None) <= _LARGEST
    if few and _smaller(module, *_SIZES[0]) is None and (text := description(module)):
        yield text


def halved(module: nn.Module) -> Iterator[str]:
    """The module with its sides halved while they are long, if few numbers are left then.

    What divides a side, other than by a large power of two, still does: three blocks, five groups.
    """
    weight = module._parameters.get("weight")
    if weight is None or weight.dim() not in range(1, 6):
        return
    groups = getattr(module, "groups", 1)
    rows, columns = weight.shape[0], weight.shape[1] if weight.dim() > 1 else weight.shape[0]
    if not isinstance(module, nn.Embedding) and not is_transposed(module):
        rows, columns = columns, rows // groups
    made = _smaller(module, groups * _halved(rows), groups * _halved(columns), groups)
    few = made is not None and sum(item.numel() for item in made.parameters()) <= _MOST
    if made is not None and few and (text := description(made)):
        yield text


def _halved(side: int) -> int:
    while side > _LONGEST and side % 2 == 0:
        side //= 2
    return side


def _smaller(module: nn.Module, inputs: int, outputs: int, groups: int | None = None) -> nn.Module | None:
    """One of these sides; `groups` of a convolution, whose channels they are then."""
    with torch.device("meta"):
        if type(module) is nn.Linear:
            return nn.Linear(inputs, outputs, module.bias is not None)
        if is_transposed(module):
            made = standing_in(description(module) or "{}")
            made.__dict__.update(nx=inputs, nf=outputs)
            made._parameters.update(
                weight=nn.Parameter(torch.empty(inputs, outputs)), bias=nn.Parameter(torch.empty(outputs))
            )
            return made
        if type(module) is nn.Embedding:
            index = module.padding_idx
            return nn.Embedding(
                inputs,
                outputs,
                None if index is None else min(index, inputs - 1),
                module.max_norm,
                module.norm_type,
                module.scale_grad_by_freq,
            )
        if type(module) is nn.LayerNorm and len(module.normalized_shape) == 1:
            return nn.LayerNorm(inputs, module.eps, module.elementwise_affine, module.bias is not None)
        if type(module) in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
            given: Any = module
            apart = groups or (given.groups if given.groups in (1, 2, 4, 8) else 4)
            shape = (given.kernel_size, given.stride, given.padding, given.dilation, apart)
            channels = inputs if groups else inputs // 2
            conv: nn.Module = type(given)(
                channels, outputs, *shape, given.bias is not None, given.padding_mode
            )
            return conv
    return None


def filled(described: str, seed: int) -> dict[str, torch.Tensor]:
    """Values for the parameters of a described module, drawn from a seed, neither zero nor one."""
    drawn = torch.Generator().manual_seed(seed)
    found: dict[str, torch.Tensor] = {}
    for name, told in json.loads(described)["parameters"].items():
        if told is not None:
            value = torch.randn(told[0], generator=drawn) * 0.3 + 0.1
            found[name] = value.to(getattr(torch, told[1]))
    return found


def example(module: nn.Module) -> torch.Tensor:
    """An input for a small module, of two examples."""
    drawn = torch.Generator().manual_seed(7)
    first = next(item for item in module._parameters.values() if item is not None)
    if isinstance(module, nn.Embedding):
        return torch.randint(0, first.shape[0], (2, 5), generator=drawn)
    if isinstance(module, nn.modules.conv._ConvNd):
        sides = [side * step + _SIDE for side, step in zip(module.kernel_size, module.dilation, strict=True)]
        return torch.randn(2, module.in_channels, *sides, generator=drawn).to(first.dtype)
    width = first.shape[0] if is_transposed(module) else first.shape[-1]
    return torch.randn(2, 5, width, generator=drawn).to(first.dtype)
