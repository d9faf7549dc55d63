"""Recipe functions that lay the same values out in another way: views, rows of tensors, stacks."""

from __future__ import annotations

import torch

from surgery.recipes import function


@function(tiling="whole")
def viewed(
    source: torch.Tensor, *, sides: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> torch.Tensor:
    """The elements of a contiguous source at `offset` + Σ index · stride: slices, transposes, reshapes."""
    return source.contiguous().as_strided(sides, strides, offset)


@function(tiling="whole")
def concatenated(*sources: torch.Tensor, dim: int) -> torch.Tensor:
    """The sources one after another along a dimension they have."""
    return torch.cat(sources, dim)


@function(tiling="whole")
def stacked(*sources: torch.Tensor, dim: int) -> torch.Tensor:
    """The sources side by side along a new dimension."""
    return torch.stack(sources, dim)
