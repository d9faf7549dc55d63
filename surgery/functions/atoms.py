"""Recipe functions for weights that share a few matrices, the best there are in the sense of least squares.

The weights as rows of M = U Σ Vᵀ: with the first S terms each row is Σ uₛ (σₛ vₛ), and the square of what is
left out is the tail of σ². U comes from M Mᵀ, which is as small as there are weights, and σₛ vₛ = Mᵀ uₛ.

Source: Zhussip et al. 2025, arXiv:2508.04581.
"""

from __future__ import annotations

import torch

from surgery.errors import SurgeryError
from surgery.recipes import function


def left_vectors(products: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """U, of each column the sign in which the largest is positive, and σ², both from the largest σ on.

    `products` is M Mᵀ, (weights, weights) float64.
    """
    if not bool(products.isfinite().all()):
        raise SurgeryError("a weight holds numbers that are not finite, of which there is no decomposition")
    squares, vectors = torch.linalg.eigh(products)
    squares, vectors = squares.flip(0).clamp_min(0), vectors.flip(1)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * torch.where(largest < 0, -1.0, 1.0).to(vectors.dtype), squares


@function(tiling="whole")
def atom_mixture(products: torch.Tensor, *, number: int) -> torch.Tensor:
    """uₛ: with which factor each weight is added to make the matrix `number`, (weights,) float64."""
    return left_vectors(products)[0][:, number].contiguous()


@function(tiling="whole")
def atom_coefficients(products: torch.Tensor, *, place: int, count: int, to: str) -> torch.Tensor:
    """The factors of the first `count` matrices in the weight `place`, (count,), in the dtype called `to`."""
    dtype: torch.dtype = getattr(torch, to)
    return left_vectors(products)[0][place, :count].to(dtype)


@function(tiling="whole", workspace=8)
def combined_atoms(coefficients: torch.Tensor, *atoms: torch.Tensor) -> torch.Tensor:
    """Σ cₛ Dₛ as a module makes it at each call, in the dtype of the matrices."""
    total = coefficients[0] * atoms[0]
    for factor, atom in zip(coefficients[1:], atoms[1:], strict=True):
        total = torch.addcmul(total, factor, atom)
    return total
