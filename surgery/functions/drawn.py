"""Recipe functions that drop elements at random, the same ones however a tensor is cut.

A draw is made in blocks of elements counted from the start of the tensor, each by a CPU generator seeded by
(seed, path, number of the block).
"""

from __future__ import annotations

import hashlib

import torch

from surgery.recipes import function

_BLOCK = 65536


def uniform_from(seed: int, path: str, at: int, count: int) -> torch.Tensor:
    """Elements `at` to `at + count` of what (seed, path) draws, uniform in [0, 1): (count,) float32, CPU."""
    first, last = at // _BLOCK, -(-(at + count) // _BLOCK)
    drawn = []
    for block in range(first, last):
        digest = hashlib.sha256(f"{seed}:{path}:{block}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        drawn.append(torch.rand(_BLOCK, generator=generator, dtype=torch.float32, device="cpu"))
    start = at - first * _BLOCK
    return torch.cat(drawn)[start : start + count] if drawn else torch.zeros(0, device="cpu")


@function(tiling="rows", placed=True, workspace=16)
def dropped(
    vector: torch.Tensor, *, density: float, rescale: bool, seed: int, path: str, at: int = 0
) -> torch.Tensor:
    """Each element stays with probability `density`, over it if `rescale`, or is zero."""
    kept = uniform_from(seed, path, at, vector.numel()).view(vector.shape).to(vector.device) < density
    return torch.where(kept, vector / density if rescale else vector, 0.0)


@function(tiling="slices", placed=True, workspace=48)
def dropped_by_rank(
    vector: torch.Tensor,
    *,
    density: float,
    epsilon: float,
    rescale: bool,
    seed: int,
    path: str,
    at: int = 0,
) -> torch.Tensor:
    """Each element stays with a probability that grows with its magnitude's rank in its row.

    From `density` − `epsilon` for the smallest to `density` + `epsilon` for the largest; what stays is
    divided by its own probability if `rescale`. A row is what one index of the first dimension has; a vector
    is one.
    """
    rows = vector.reshape(1, -1) if vector.dim() < 2 else vector.reshape(vector.shape[0], -1)
    order = rows.abs().argsort(dim=1, stable=True)
    places = torch.arange(rows.shape[1], dtype=torch.float32, device=rows.device).expand_as(rows)
    ranks = torch.empty_like(rows, dtype=torch.float32).scatter_(1, order, places)
    chances = density - epsilon + ranks * (2 * epsilon / max(1, rows.shape[1] - 1))
    if rows.shape[1] == 1:
        chances.fill_(density)
    drawn = uniform_from(seed, path, at, vector.numel()).view(rows.shape).to(rows.device)
    kept = torch.where(drawn < chances, rows / chances if rescale else rows, 0.0)
    return kept.to(vector.dtype).view(vector.shape)
