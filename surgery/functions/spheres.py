"""Recipe functions for merges on a sphere: the result lies in the span of the models, so the inner products
of these say with which weights each of them is added. Products are summed in float64.
"""

from __future__ import annotations

import math

import torch

from surgery.functions.task_vectors import wide
from surgery.recipes import function
from surgery.reductions import reduction

_TINY = 1e-8


@reduction("gram", joint=True, workspace=8)
class Gram:
    """The inner products of all inputs: (inputs, inputs) float64."""

    passes = 1

    def __init__(self, inputs: int) -> None:
        self.products = torch.zeros(inputs, inputs, dtype=torch.float64, device="cpu")

    def update(self, number: int, index: int, *tiles: torch.Tensor) -> None:
        shape = len(tiles), tiles[0].numel()
        together = torch.empty(shape, dtype=torch.float64, device=tiles[0].device)
        for row, tile in zip(together, tiles, strict=True):
            row.copy_(tile)
        self.products += (together @ together.T).cpu()

    def end_pass(self, number: int) -> None: ...

    def finish(self) -> torch.Tensor:
        return self.products


@function(tiling="rows", whole=1, workspace=12)
def combined(weights: torch.Tensor, *sources: torch.Tensor) -> torch.Tensor:
    """Σ wᵢ θᵢ with `weights` (sources,), in float32 or wider, in the dtype of the first."""
    dtype = wide(*(source.dtype for source in sources))
    total = torch.zeros_like(sources[0], dtype=dtype)
    for source, weight in zip(sources, weights.tolist(), strict=True):
        total.add_(source.to(total.device, dtype, copy=True).mul_(weight))
    return total.to(sources[0].dtype)


@function(tiling="whole")
def slerp_weights(products: torch.Tensor, *, t: float, threshold: float) -> torch.Tensor:
    """(2,): those of the great arc, or 1 − t and t where |cos| > `threshold` or one of the two is zero."""
    (a, dot), (_, b) = products.tolist()
    lengths = math.sqrt(a) * math.sqrt(b)
    cosine = max(-1.0, min(1.0, dot / lengths)) if lengths > 0 else 1.0
    return _float64(_arc(cosine, t, threshold))


def _arc(cosine: float, t: float, threshold: float) -> list[float]:
    if abs(cosine) > threshold:
        return [1 - t, t]
    angle = math.acos(cosine)
    return [math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)]


@function(tiling="whole")
def multislerp_weights(products: torch.Tensor, *, weights: tuple[float, ...]) -> torch.Tensor:
    """(n,): the direction of Σ wᵢ uᵢ over unit vectors uᵢ, times the weighted mean of the norms.

    The step that the method takes from there in the tangent plane is zero, whatever the vectors.
    """
    norms = products.diagonal().sqrt()
    shares = _float64(list(weights))
    units = products / (norms[:, None] + _TINY) / (norms[None, :] + _TINY)
    length = _length(shares, units)
    if length < _TINY:
        return shares  # opposite vectors that cancel: nothing but the straight line is left
    return shares / length * (norms @ shares) / (norms + _TINY)


@function(tiling="whole")
def karcher_weights(
    products: torch.Tensor, *, weights: tuple[float, ...], iterations: int, tolerance: float
) -> torch.Tensor:
    """(n,): the mean on the sphere, the point with the least Σ wᵢ angle², times the mean of the norms.

    Vectors shorter than `tolerance` have no direction and count in the norm alone.
    """
    norms = products.diagonal().sqrt()
    shares = _float64(list(weights))
    valid = norms > tolerance
    if not bool(valid.any()):
        return torch.zeros_like(shares)
    inverse = torch.where(valid, 1 / norms.clamp(min=tolerance), 0.0)
    units = products * inverse[:, None] * inverse[None, :]
    directed = torch.where(valid, shares, 0.0)
    directed = directed / directed.sum()
    length = _length(directed, units)
    first = torch.zeros_like(directed)
    first[int(valid.nonzero()[0])] = 1.0
    mean = first if length < tolerance else directed / length
    for _ in range(iterations):
        cosines = (units @ mean).clamp(-1, 1)
        angles = cosines.arccos()
        pulls = torch.where(valid & (angles >= tolerance), directed * angles / angles.sin(), 0.0)
        tangent = pulls - (pulls @ cosines) * mean
        step = _length(tangent, units)
        if step < tolerance:
            break
        mean = mean * math.cos(step) + tangent * (math.sin(step) / step)
        mean = mean / _length(mean, units)
    return mean * inverse * (norms @ shares)


@function(tiling="whole")
def stock_weights(products: torch.Tensor) -> torch.Tensor:
    """(1 + n,) for θ₀ and each θᵢ, from the inner products of the n task vectors."""
    norms = products.diagonal().sqrt()
    count = len(norms)
    pairs = [
        float(products[i, j] / (norms[i] * norms[j]).clamp(min=1e-12))
        for i in range(count)
        for j in range(i + 1, count)
    ]
    t = _stock(sum(pairs) / len(pairs), count)
    return _float64([1 - t, *(t / count for _ in range(count))])


def _stock(cosine: float, count: int) -> float:
    below = 1 + (count - 1) * cosine
    return count * cosine / below if abs(below) >= 1e-6 else 0.0


@function(tiling="whole")
def around(weights: torch.Tensor) -> torch.Tensor:
    """(1 + n,): what weights (n,) of task vectors come to for θ₀ and each θᵢ."""
    return torch.cat([(1 - weights.sum()).reshape(1), weights])


def _length(weights: torch.Tensor, products: torch.Tensor) -> float:
    """The length of Σ wᵢ vᵢ."""
    return math.sqrt(max(0.0, float(weights @ products @ weights)))


def _float64(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, device="cpu")
