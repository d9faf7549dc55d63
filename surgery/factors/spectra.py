"""The energies of a matrix: its squared singular values, which a measure finds; of weights, or of outputs."""

from __future__ import annotations

import torch

from surgery.functions.factors import gram, output_gram
from surgery.recipes import one_thread


def energies_of(weight: torch.Tensor) -> torch.Tensor:
    """σ² of a matrix, largest first: (shorter side,) float64, on the CPU; NaN where it holds no numbers.

    On one thread, for the same bits.
    """
    with torch.no_grad(), one_thread():
        matrix = weight.detach().flatten(1).to(torch.float64)
        square = gram(matrix.T if matrix.shape[0] > matrix.shape[1] else matrix)
        return _eigenvalues(square)


def energies_seen(
    weight: torch.Tensor, seen: torch.Tensor, ridge: float, *, transposed: bool
) -> torch.Tensor:
    """σ² of W S, where S Sᵀ is the Gram `seen` of W's inputs with its ridge; else as `energies_of`.

    Their sum is Σ ‖W x‖², and a tail of them what `outward_factor` leaves out of it.
    """
    with torch.no_grad(), one_thread():
        matrix = weight.detach().flatten(1).to(torch.float64)
        matrix = (matrix.T if transposed else matrix).contiguous()
        return _eigenvalues(output_gram(matrix, seen.to(matrix.device), ridge)[1])


def _eigenvalues(square: torch.Tensor) -> torch.Tensor:
    if not torch.isfinite(square).all():
        return torch.full((len(square),), torch.nan, dtype=torch.float64, device="cpu")
    found: torch.Tensor = torch.linalg.eigvalsh(square)
    return found.flip(0).clamp(min=0.0).cpu()
