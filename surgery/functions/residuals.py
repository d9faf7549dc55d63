"""Recipe functions that split what a weight has beyond a shared one into two thin factors.

Source: Bae et al. 2024, arXiv:2410.20672.
"""

from __future__ import annotations

import torch

from surgery.errors import SurgeryError
from surgery.functions.task_vectors import wide
from surgery.recipes import function


def residual(own: torch.Tensor, shared: torch.Tensor, *, transposed: bool) -> torch.Tensor:
    """W − W′ as outputs × inputs, in float32 or wider; `transposed` for weights stored the other way."""
    dtype = wide(own.dtype, shared.dtype)
    beyond = own.to(dtype) - shared.to(own.device, dtype)
    if not bool(beyond.isfinite().all()):
        raise SurgeryError("a weight holds numbers that are not finite, of which there is no decomposition")
    return beyond.T if transposed else beyond


@function(tiling="whole", workspace=48)
def residual_down(own: torch.Tensor, shared: torch.Tensor, *, rank: int, transposed: bool) -> torch.Tensor:
    """A = Vᵀ, (rank, inputs), of the truncated SVD W − W′ ≈ U Σ Vᵀ."""
    beyond = residual(own, shared, transposed=transposed)
    right: torch.Tensor = torch.linalg.svd(beyond, full_matrices=False)[2][:rank]
    largest = right.gather(1, right.abs().argmax(1, keepdim=True))
    signs = torch.where(largest < 0, -1.0, 1.0).to(right.dtype)  # else it is another build's to choose
    return (right * signs).to(own.dtype)


@function(tiling="whole", workspace=24)
def residual_up(
    own: torch.Tensor, shared: torch.Tensor, down: torch.Tensor, *, transposed: bool
) -> torch.Tensor:
    """B = U Σ = (W − W′) Aᵀ, (outputs, rank), for the A of `residual_down` as it is stored."""
    beyond = residual(own, shared, transposed=transposed)
    return (beyond @ down.to(beyond.dtype).T).to(own.dtype)
