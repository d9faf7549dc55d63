"""Recipe functions that lay the same values out in another way: views, rows of tensors, stacks."""

from __future__ import annotations

import torch

from surgery.functions.task_vectors import wide
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


@function(tiling="rows", whole=1, workspace=24, gathers=True)
def matched_rows(other: torch.Tensor, own: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Row i is row `places[i]` of `other`, and of `own` where that is −1; `places` is (rows of `own`,) int64.

    The dtype is that of both, or one in which rows of either are exact: see `matched_dtype`.
    """
    dtype = matched_dtype(own.dtype, other.dtype)
    named = (places >= 0).nonzero().flatten()
    rows = other.index_select(0, places[named].to(other.device)).to(own.device, dtype)
    made = own.to(dtype, copy=True)
    return made.index_copy_(0, named.to(own.device), rows)


def matched_dtype(own: torch.dtype, other: torch.dtype) -> torch.dtype:
    """The dtype of both, or float32 or wider where they differ."""
    return own if own == other else wide(own, other)
