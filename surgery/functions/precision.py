"""A recipe function that averages weights by how sure each model is of each.

Source: Fisher merging, Matena and Raffel 2021, arXiv:2111.09832.
"""

from __future__ import annotations

import torch

from surgery.recipes import function


@function(tiling="rows", workspace=32)
def fisher_mean(*sources: torch.Tensor, weights: tuple[float, ...]) -> torch.Tensor:
    """Σ λᵢ Fᵢ θᵢ / Σ λᵢ Fᵢ element by element, of tensors θ₀ … and as many F₀ …; `weights` are λ.

    Where the sum below is 0 it is Σ λᵢ θᵢ / Σ λᵢ. In float32 or what is wider.
    """
    first, count = sources[0], len(weights)
    wide = torch.promote_types(first.dtype, torch.float32)
    top = torch.zeros(first.shape, dtype=wide, device=first.device)
    bottom, mean = torch.zeros_like(top), torch.zeros_like(top)
    for tensor, fisher, weight in zip(sources[:count], sources[count:], weights, strict=True):
        value, sure = tensor.to(first.device, wide), fisher.to(first.device, wide) * weight
        top += value * sure
        bottom += sure
        mean += value * (weight / sum(weights))
    return torch.where(bottom > 0, top / bottom, mean).to(first.dtype)
