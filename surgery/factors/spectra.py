"""The energies of a matrix: its squared singular values, which a measure finds."""

from __future__ import annotations

import torch

from surgery.functions.factors import gram
from surgery.recipes import one_thread


def energies_of(weight: torch.Tensor) -> torch.Tensor:
    """σ² of a matrix, largest first: (shorter side,) float64, on the CPU; NaN where it holds no numbers.

    On one thread, for the same bits.
    """
    with torch.no_grad(), one_thread():
        matrix = weight.detach().flatten(1).to(torch.float64)
        square = gram(matrix.T if matrix.shape[0] > matrix.shape[1] else matrix)
        if not torch.isfinite(square).all():
            return torch.full((len(square),), torch.nan, dtype=torch.float64, device="cpu")
        found: torch.Tensor = torch.linalg.eigvalsh(square)
    return found.flip(0).clamp(min=0.0).cpu()
