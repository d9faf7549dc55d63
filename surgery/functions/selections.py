"""Recipe functions of merges that choose, element by element, whose values count."""

from __future__ import annotations

import math

import torch

from surgery.functions.ranks import Ranking
from surgery.functions.task_vectors import wide
from surgery.recipes import function
from surgery.reductions import reduction


@function(tiling="rows", workspace=24)
def swapped_near(base: torch.Tensor, other: torch.Tensor, *, t: float) -> torch.Tensor:
    """θ₀ + min(1, t / |θ₁ − θ₀|) (θ₁ − θ₀): nearer than `t` it is the other's, far away it hardly moves."""
    dtype = wide(base.dtype, other.dtype)
    start = base.to(dtype)
    vector = other.to(base.device, dtype) - start
    share = (t / vector.abs().clamp(min=1e-6)).clamp(0, 1)
    return (start + share * vector).to(base.dtype)


@function(tiling="slices", workspace=40)
def importance(model: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """|θ₁ − θ₀| · KL(softmax θ₁, softmax θ₀) over the last dimension; not negative, in float32 or wider."""
    dtype = wide(model.dtype, base.dtype)
    mine, theirs = base.to(dtype), model.to(base.device, dtype)
    p, q = theirs.softmax(-1) + 1e-8, mine.softmax(-1) + 1e-8
    divergence = (p * (p / q).log()).sum(-1, keepdim=True).clamp(min=0)
    return (theirs - mine).abs() * divergence


@function(tiling="rows", whole=1, workspace=16)
def fused(
    quartiles: torch.Tensor, scores: torch.Tensor, base: torch.Tensor, model: torch.Tensor
) -> torch.Tensor:
    """θ₁ where `scores` reach the median + 1.5 (q₃ − q₁) of `quartiles` (3,), else θ₀; in the dtype of θ₀."""
    low, median, high = quartiles.tolist()
    taken = scores >= median + 1.5 * (high - low)
    return torch.where(taken.to(base.device), model.to(base.device, base.dtype), base)


@reduction("variance_at", joint=True, workspace=24)
class VarianceAt:
    """The least variance over the inputs among the `density` part where it is largest: (1,) float64.

    Elements where it is zero are not counted. Infinity where that part is not one element.
    """

    def __init__(self, inputs: int, *, density: float, bits: int) -> None:
        self.density, self.count, self.elements, self.bits = density, 0, 0, bits
        self.ranking: Ranking | None = None
        self.passes = 1 + bits // 16

    def update(self, number: int, index: int, *tiles: torch.Tensor) -> None:
        variance = variance_of(tiles)
        if number == 0:
            self.elements += variance.numel()
            self.count += int(torch.count_nonzero(variance))
        elif self.ranking is not None:
            self.ranking.see(number - 1, variance)

    def end_pass(self, number: int) -> None:
        if number == 0:
            kept = int(self.count * self.density)
            self.ranking = Ranking((self.elements - kept + 1,), self.bits) if kept else None
        elif self.ranking is not None:
            self.ranking.end_pass()

    def finish(self) -> torch.Tensor:
        if self.ranking is None:
            return torch.tensor([math.inf], dtype=torch.float64, device="cpu")
        return self.ranking.values()


def variance_of(tensors: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The variance of each element over the tensors, of the population."""
    mean = torch.zeros_like(tensors[0])
    for tensor in tensors:
        mean += tensor / len(tensors)
    spread = torch.zeros_like(mean)
    for tensor in tensors:
        spread += (tensor - mean).square() / len(tensors)
    return spread


@function(tiling="rows", whole=1, workspace=24)
def where_varied(threshold: torch.Tensor, *vectors: torch.Tensor, index: int) -> torch.Tensor:
    """Vector `index` of the `vectors` where their variance is at least the threshold, else zero."""
    return vectors[index].masked_fill(variance_of(vectors) < float(threshold[0]), 0.0)


@function(tiling="rows", whole=1, workspace=24)
def shared_out(products: torch.Tensor, base: torch.Tensor, *vectors: torch.Tensor) -> torch.Tensor:
    """θ₀ + Σ wᵢτᵢ / Σ wᵢ over those of the sign of Σ τᵢ, with wᵢ the part of τᵢ in Σ |τ|²; see `gram`."""
    energies = products.diagonal()
    total = float(energies.sum()) / max(1, base.numel())
    weights = (energies / energies.sum()).tolist() if total > 0 else [1 / len(vectors)] * len(vectors)
    dtype = wide(base.dtype, *(vector.dtype for vector in vectors))
    counted = torch.zeros_like(base, dtype=dtype)
    for vector in vectors:
        counted += vector.to(base.device, dtype)
    positive = counted >= 0
    counted.zero_()
    mixed = torch.zeros_like(counted)
    for vector, weight in zip(vectors, weights, strict=True):
        part = vector.to(base.device, dtype)
        agrees = torch.where(positive, part > 0, part < 0) | part.isnan()
        mixed += torch.where(agrees, part * weight, 0.0)
        counted.add_(agrees.to(dtype).mul_(weight))
    return (base.to(dtype) + mixed / counted.clamp(min=1e-6)).to(base.dtype)


@reduction("overlaps", joint=True, workspace=8)
class Overlaps:
    """(inputs, 2) float64: how many elements beyond `epsilon` each input shares with others, and has
    alone.
    """

    passes = 1

    def __init__(self, inputs: int, *, epsilon: float) -> None:
        self.epsilon = epsilon
        self.counts = torch.zeros(inputs, 2, dtype=torch.float64, device="cpu")

    def update(self, number: int, index: int, *tiles: torch.Tensor) -> None:
        changed = torch.stack([tile.abs() > self.epsilon for tile in tiles])
        together = changed.sum(0)
        for place, mine in enumerate(changed):
            self.counts[place, 0] += int((mine & (together > 1)).sum())
            self.counts[place, 1] += int((mine & (together == 1)).sum())

    def end_pass(self, number: int) -> None: ...

    def finish(self) -> torch.Tensor:
        return self.counts


@function(tiling="rows", whole=1, workspace=32)
def reinforced(
    overlaps: torch.Tensor,
    base: torch.Tensor,
    *vectors: torch.Tensor,
    epsilon: float,
    rate: float,
    limit: float,
) -> torch.Tensor:
    """θ₀ + the mean of the τᵢ beyond `epsilon` where there are several, and what one alone has, strengthened.

    What τᵢ alone has is multiplied by 1 + rate · min(limit, shared / alone), counted over the tensor.
    """
    dtype = wide(base.dtype, *(vector.dtype for vector in vectors))
    mixed, together = torch.zeros_like(base, dtype=dtype), torch.zeros_like(base, dtype=dtype)
    for vector in vectors:
        together += (vector.abs() > epsilon).to(base.device)
    for vector, (shared, alone) in zip(vectors, overlaps.tolist(), strict=True):
        part = vector.to(base.device, dtype)
        counts = (part.abs() > epsilon) | part.isnan()
        gain = 1 + rate * min(limit, shared / max(alone, epsilon))
        share = torch.where(together > 1, part / together.clamp(min=1), part * gain)
        mixed += torch.where(counts, share, 0.0)
    return (base.to(dtype) + mixed).to(base.dtype)
