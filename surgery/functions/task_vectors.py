"""Recipe functions on task vectors τᵢ = θᵢ − θ₀: made, trimmed, rescaled, and added to θ₀ again.

All compute in float32, or float64 where there is float64.
"""

from __future__ import annotations

import torch

from surgery.recipes import function
from surgery.reductions import reduction

_SMALL = 1e-7


def wide(*dtypes: torch.dtype) -> torch.dtype:
    """The dtype that tensors of these are computed in."""
    found = torch.float32
    for dtype in dtypes:
        found = torch.promote_types(found, dtype)
    return found


@function(tiling="rows", workspace=8)
def difference(model: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """θᵢ − θ₀."""
    dtype = wide(model.dtype, base.dtype)
    return model.to(base.device, dtype, copy=True).sub_(base.to(dtype))


@function(tiling="rows", whole=1, workspace=10)
def trimmed(thresholds: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """What is below the first of `thresholds` (n,) in magnitude is zero, and what is above the second.

    NaN stays.
    """
    magnitudes = vector.abs()
    dropped = magnitudes < float(thresholds[0])
    if len(thresholds) > 1:
        dropped |= magnitudes > float(thresholds[1])
    return vector.masked_fill(dropped, 0.0)


@function(tiling="rows", whole=1)
def rescaled(sums: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """`vector` times the first of two `sums` over the second; as it is where one of them is nearly zero."""
    before, after = float(sums[0]), float(sums[1])
    return vector * (before / after) if min(before, after) >= _SMALL else vector.clone()


@reduction("absolute_sums", workspace=16)
class AbsoluteSums:
    """Σ|x| of each input: a (inputs,) float64 tensor."""

    passes = 1

    def __init__(self, inputs: int) -> None:
        self.sums = torch.zeros(inputs, dtype=torch.float64, device="cpu")

    def update(self, number: int, index: int, tile: torch.Tensor) -> None:
        self.sums[index] += tile.to(torch.float64).abs().sum().cpu()

    def end_pass(self, number: int) -> None: ...

    def finish(self) -> torch.Tensor:
        return self.sums


@function(tiling="rows", workspace=24)
def added(
    base: torch.Tensor,
    *vectors: torch.Tensor,
    weights: tuple[float, ...],
    scale: float,
    elect: str,
    normalize: bool,
) -> torch.Tensor:
    """θ₀ + scale · Σ wᵢτᵢ, over Σ wᵢ if `normalize`; in the dtype of θ₀.

    `elect`: `none`, or only those wᵢτᵢ count, element by element, whose sign is that of their sum (`sum`) or
    of most of them (`count`). Where the weights sum up to zero nothing is divided.
    """
    dtype = wide(base.dtype, *(vector.dtype for vector in vectors))
    mixed = torch.zeros_like(base, dtype=dtype)
    if elect == "none":
        for vector, weight in zip(vectors, weights, strict=True):
            mixed.add_(vector.to(base.device, dtype, copy=True).mul_(weight))
        total = sum(weights)
        if normalize and abs(total) > 1e-6 * sum(map(abs, weights)):
            mixed /= total
    else:
        counted = torch.zeros_like(mixed)
        for vector, weight in zip(vectors, weights, strict=True):
            part = vector.to(base.device, dtype) * weight
            counted += part if elect == "sum" else part.sign()
        positive = counted >= 0
        counted.zero_()
        for vector, weight in zip(vectors, weights, strict=True):
            part = vector.to(base.device, dtype) * weight
            agrees = torch.where(positive, part > 0, part < 0) | part.isnan()
            mixed += torch.where(agrees, part, 0.0)
            counted.add_(agrees.to(dtype).mul_(weight))
        if normalize:
            cancelled = counted.abs() <= 1e-6 * sum(map(abs, weights))
            mixed /= counted.masked_fill_(cancelled, 1.0)
    return mixed.mul_(scale).add_(base.to(dtype)).to(base.dtype)
