"""Recipe functions for merges on spheres, one for each row or column of a weight."""

from __future__ import annotations

import torch

from surgery.functions.task_vectors import wide
from surgery.recipes import function


@function(tiling="slices", workspace=48)
def slerped_rows(first: torch.Tensor, second: torch.Tensor, *, t: float) -> torch.Tensor:
    """The great arc between the vectors along the last dimension, each pair by itself; see `_arcs`."""
    return _arcs(first, second, t, -1)


@function(tiling="whole", workspace=48)
def slerped_columns(first: torch.Tensor, second: torch.Tensor, *, t: float) -> torch.Tensor:
    """The great arc between the vectors along the first dimension, each pair by itself; see `_arcs`."""
    return _arcs(first, second, t, 0)


@function(tiling="slices", workspace=64)
def stocked_rows(base: torch.Tensor, *models: torch.Tensor) -> torch.Tensor:
    """Model Stock for each vector along the last dimension: t · mean + (1 − t) θ₀, in the dtype of θ₀."""
    dtype = wide(base.dtype, *(model.dtype for model in models))
    start, count = base.to(dtype), len(models)
    cosines = torch.zeros(*base.shape[:-1], 1, dtype=dtype, device=base.device)
    total = torch.zeros_like(start)
    for index, model in enumerate(models):
        one = model.to(base.device, dtype) - start
        total += one
        for other in models[index + 1 :]:
            two = other.to(base.device, dtype) - start
            norms = one.norm(dim=-1, keepdim=True) * two.norm(dim=-1, keepdim=True)
            cosines += ((one * two).sum(-1, keepdim=True) / norms.clamp(min=1e-12)).clamp(-1, 1)
    cosines /= count * (count - 1) / 2
    below = 1 + (count - 1) * cosines
    singular = below.abs() < 1e-6
    t = torch.where(singular, 0.0, count * cosines / torch.where(singular, 1.0, below))
    return (start + t * (total / count)).to(base.dtype)


def _arcs(first: torch.Tensor, second: torch.Tensor, t: float, dim: int) -> torch.Tensor:
    """Parallel and opposite vectors, and those without length, lie on a straight line."""
    dtype = wide(first.dtype, second.dtype)
    one, two = first.to(dtype), second.to(first.device, dtype)
    norms = one.norm(dim=dim, keepdim=True) * two.norm(dim=dim, keepdim=True)
    cosines = ((one * two).sum(dim, keepdim=True) / norms.clamp(min=1e-12)).clamp(-1, 1)
    straight = (1 - cosines.square() <= 1e-7) | (norms <= 1e-12)
    angles = torch.where(straight, 0.0, cosines).arccos()
    parts = [(1 - t, one), (t, two)]
    made = torch.zeros_like(one)
    for share, vectors in parts:
        made += torch.where(straight, share, (share * angles).sin() / angles.sin()) * vectors
    return made.to(first.dtype)
