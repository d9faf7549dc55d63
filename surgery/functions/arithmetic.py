"""Recipe functions that copy, cast, add and fold."""

from __future__ import annotations

import torch

from surgery.recipes import function

_NARROW = (torch.bfloat16, torch.float16)


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
    narrow = dtype in _NARROW and all(source.dtype == dtype for source, _ in counted)
    if narrow and [weight for _, weight in counted] == [0.5, 0.5]:
        return _mean_of_two(first, others[0][0].to(device))
    total = first.to(device, wide, copy=True)
    if all(weight == factor for _, weight in others):
        for source, _ in others:
            total.add_(source.to(device, wide))
        return total.mul_(factor).to(dtype)
    total.mul_(factor)
    for source, weight in others:
        total.add_(source.to(device, wide, copy=True).mul_(weight))
    return total.to(dtype)


def _mean_of_two(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The float32 mean of two tensors in 16 bits, rounded once; in one pass where no difference is infinite.

    A difference has all its bits in float32, but where one number is so small beside the other that it counts
    for nothing once the mean is rounded: so it was for every pair of numbers in either dtype.
    """
    mean = torch.lerp(one, other, 0.5)
    if torch.isfinite(mean.sum()):
        return mean
    return one.to(torch.float32, copy=True).mul_(0.5).add_(other.to(torch.float32), alpha=0.5).to(one.dtype)
