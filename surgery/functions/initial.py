"""Recipe functions that make values from nothing."""

from __future__ import annotations

import hashlib

import torch

from surgery.recipes import function


@function(tiling="whole")
def zeros(*, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """All zero."""
    return torch.zeros(shape, dtype=dtype, device="cpu")


@function(tiling="whole")
def ones(*, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """All one."""
    return torch.ones(shape, dtype=dtype, device="cpu")


@function(tiling="whole")
def eye(*, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """The identity matrix."""
    return torch.eye(*shape, dtype=dtype, device="cpu")


@function(tiling="whole")
def uniform(
    *, low: float, high: float, seed: int, path: str, shape: tuple[int, ...], dtype: torch.dtype
) -> torch.Tensor:
    """Uniform in [low, high), from a CPU generator seeded by (seed, path): whatever else is drawn."""
    digest = hashlib.sha256(f"{seed}:{path}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return (
        torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu") * (high - low) + low
    ).to(dtype)
