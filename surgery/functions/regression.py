"""A recipe function that merges weights so that their outputs on each model's inputs stay near.

Source: RegMean, Jin et al. 2022, arXiv:2212.09849. Computed in float64.
"""

from __future__ import annotations

import torch

from surgery.recipes import function


@function(tiling="whole", workspace=72)
def regressed(*sources: torch.Tensor, beside: float, transposed: bool) -> torch.Tensor:
    """Ŵ for which Σ ‖(Ŵ − Wᵢ) xᵢ‖² is least: (Σ Gᵢ)⁻¹ Σ Gᵢ Wᵢᵀ, of weights W₀ … and as many Grams G₀ ….

    `weights` are (outputs, …), all else being inputs, or, `transposed`, (inputs, outputs); Grams (inputs,
    inputs). What stands beside the diagonals is taken `beside` times. An input that is zero in all models has
    the mean of its weights. Raises LinAlgError where the sum of the Grams has no inverse.
    """
    count = len(sources) // 2
    first, device = sources[0], sources[0].device
    grams = [lessened(gram.to(device).double(), beside) for gram in sources[count:]]
    rows = [weight.to(device).double() for weight in sources[:count]]
    columns = [weight if transposed else weight.flatten(1).t() for weight in rows]
    whole = sum(grams[1:], grams[0])
    dead = whole.diagonal() == 0
    mean = sum(columns[1:], columns[0]) / count
    wanted = sum((gram @ column for gram, column in zip(grams, columns, strict=True)), torch.zeros_like(mean))
    wanted = torch.where(dead.unsqueeze(1), mean, wanted)
    made = torch.cholesky_solve(wanted, torch.linalg.cholesky(whole + torch.diag(dead.double())))
    merged = made if transposed else made.t().reshape(first.shape)
    return merged.to(first.dtype).contiguous()


def lessened(gram: torch.Tensor, beside: float) -> torch.Tensor:
    """The Gram with what stands beside its diagonal taken so many times."""
    diagonal = torch.diag(gram.diagonal())
    return beside * (gram - diagonal) + diagonal
