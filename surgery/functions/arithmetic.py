"""Recipe functions that copy, cast, add and fold."""

from __future__ import annotations

import torch

from surgery.recipes import function


@function(tiling="rows")
def copy(source: torch.Tensor) -> torch.Tensor:
    """The same values in storage of their own."""
    return source.clone()


@function(tiling="rows")
def cast(source: torch.Tensor, *, to: str) -> torch.Tensor:
    """The values in the dtype that torch calls `to`, rounded to nearest, ties to even."""
    dtype: torch.dtype = getattr(torch, to)
    return source.to(dtype)


@function(tiling="rows", workspace=8)
def weighted_sum(*sources: torch.Tensor, weights: tuple[float, ...]) -> torch.Tensor:
    """Σ wᵢ θᵢ, added from the first to the last in float32 (float64 for float64), in the first's dtype.

    Where all weights are one number the sum is multiplied, not every tensor; one with weight 0 is not looked
    at, whatever its values.
    """
    wide = torch.promote_types(sources[0].dtype, torch.float32)
    dtype, device = sources[0].dtype, sources[0].device
    counted = [(source, weight) for source, weight in zip(sources, weights, strict=True) if weight]
    if not counted:
        return torch.zeros_like(sources[0])
    (first, factor), *others = counted
    total = first.to(device, wide, copy=True)
    if all(weight == factor for _, weight in others):
        for source, _ in others:
            total.add_(source.to(device, wide))
        return total.mul_(factor).to(dtype)
    total.mul_(factor)
    for source, weight in others:
        total.add_(source.to(device, wide, copy=True).mul_(weight))
    return total.to(dtype)


@function(tiling="whole", workspace=16)
def fold_low_rank(
    weight: torch.Tensor, down: torch.Tensor, up: torch.Tensor, *, scale: float, transposed: bool
) -> torch.Tensor:
    """W + scale · B A in float32 or wider; `transposed` for weights stored as inputs × outputs."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    delta = scale * (up.to(wide) @ down.to(wide))
    return (weight.to(wide) + (delta.T if transposed else delta)).to(weight.dtype)


@function(tiling="whole", workspace=24)
def fold_dora(
    weight: torch.Tensor,
    down: torch.Tensor,
    up: torch.Tensor,
    magnitude: torch.Tensor,
    *,
    scale: float,
    transposed: bool,
) -> torch.Tensor:
    """V = W + scale · B A with each output's vector at its `magnitude` (outputs,): m V / |V|, over inputs.

    In float32 or wider; `transposed` for weights stored as inputs × outputs.
    """
    wide = torch.promote_types(weight.dtype, torch.float32)
    delta = scale * (up.to(wide) @ down.to(wide))
    moved = weight.to(wide) + (delta.T if transposed else delta)
    dim = 0 if transposed else 1
    lengths: torch.Tensor = moved.norm(dim=dim, keepdim=True)
    made: torch.Tensor = moved * (magnitude.to(wide).reshape(lengths.shape) / lengths)
    return made.to(weight.dtype)
