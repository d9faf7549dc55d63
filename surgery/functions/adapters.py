"""Recipe functions of adapters: what they add to a weight, and several low-rank products as one."""

from __future__ import annotations

import torch

from surgery.recipes import function


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


@function(tiling="whole", workspace=16)
def fold_low_rank_conv(
    weight: torch.Tensor, down: torch.Tensor, up: torch.Tensor, *, scale: float
) -> torch.Tensor:
    """W + scale · B ∗ A of a convolution: A (rank × inputs × kernel), B (outputs × rank × 1 …)."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    delta = scale * (up.flatten(1).to(wide) @ down.flatten(1).to(wide))
    return (weight.to(wide) + delta.view(weight.shape)).to(weight.dtype)


@function(tiling="whole", workspace=8)
def output_lengths(weight: torch.Tensor, *, transposed: bool) -> torch.Tensor:
    """The length of each output's vector of weights, in float32 or wider; `transposed`: inputs × outputs."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    rows = weight.T if transposed else weight
    found: torch.Tensor = rows.to(wide).norm(dim=1)
    return found.to(weight.dtype)


@function(tiling="whole", workspace=8)
def times_along(tensor: torch.Tensor, factors: torch.Tensor, *, dim: int) -> torch.Tensor:
    """Each slice along a dimension times its factor, in float32 or wider."""
    wide = torch.promote_types(tensor.dtype, torch.float32)
    shape = [1] * tensor.dim()
    shape[dim] = -1
    made: torch.Tensor = tensor.to(wide) * factors.to(tensor.device, wide).view(shape)
    return made.to(tensor.dtype)


@function(tiling="whole", workspace=8)
def stacked_factors(*factors: torch.Tensor, weights: tuple[float, ...], dim: int) -> torch.Tensor:
    """Factors of low-rank products one after another along a dimension, each times its weight."""
    wide = torch.promote_types(factors[0].dtype, torch.float32)
    parts = [factor.to(wide) * weight for factor, weight in zip(factors, weights, strict=True)]
    return torch.cat(parts, dim).to(factors[0].dtype)


@function(tiling="whole", workspace=64)
def truncated_product(
    *factors: torch.Tensor, weights: tuple[float, ...], rank: int, side: str
) -> torch.Tensor:
    """One factor of Σ wᵢ Bᵢ Aᵢ cut to `rank` by its singular values, given A₁, B₁, A₂, B₂.

    `side` "down": the first right vectors (rank × inputs); "up": the left ones times their singular values
    (outputs × rank). Never the product itself is factorised: of the stacked factors QR leaves a small one.
    """
    wide = torch.promote_types(factors[0].dtype, torch.float32)
    downs = [factor.flatten(1).to(wide) for factor in factors[0::2]]
    ups = [factor.flatten(1).to(wide) * weight for factor, weight in zip(factors[1::2], weights, strict=True)]
    left, small = torch.linalg.qr(torch.cat(ups, 1))
    right, other = torch.linalg.qr(torch.cat(downs, 0).T)
    u, values, v = torch.linalg.svd(small @ other.T, full_matrices=False)
    if side == "down":
        found: torch.Tensor = (v[:rank] @ right.T).view(rank, *factors[0].shape[1:])
        return found.to(factors[0].dtype)
    made: torch.Tensor = left @ (u[:, :rank] * values[:rank])
    return made.view(-1, rank, *factors[1].shape[2:]).to(factors[0].dtype)
