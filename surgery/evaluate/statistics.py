"""Intervals by the bootstrap over examples (Efron 1979).

Examples are drawn with replacement and every figure is recomputed on each draw. Figures of two
models come from the same draws: what the examples have in common cancels in their difference.
Windows of one document are treated as independent.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

RESAMPLES = 2000
LEVEL = 0.95
BLOCK = 4_000_000
"""Draws held in memory at a time."""


@dataclass(frozen=True)
class Interval:
    """Where a figure lies with 95 % confidence, in the figure's unit."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance from low to high."""
        return (self.high - self.low) / 2

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def resampled_sums(sums: Tensor, *, seed: int, resamples: int = RESAMPLES) -> Tensor:
    """Column sums of `sums` (examples, columns) over each draw of its rows, (resamples, columns) float64."""
    n, generator = len(sums), torch.Generator().manual_seed(seed)
    parts, left = [], resamples
    while left:
        count = min(left, max(1, BLOCK // n))
        drawn = torch.randint(n, (count, n), generator=generator)
        times = torch.zeros(count, n, dtype=torch.float64)
        times.scatter_add_(1, drawn, torch.ones_like(times))
        parts.append(times @ sums.double())
        left -= count
    return torch.cat(parts)


def bounds(values: Tensor, examples: int) -> tuple[Tensor, Tensor]:
    """The 95 % bounds of each column of `values` (resamples, columns), (columns,) each.

    Percentiles, taken further out by as much as Student's t over `examples` asks, since plain
    ones are too narrow for few examples (Hesterberg 2015, arXiv:1411.5279, "expanded percentile").
    """
    tail = _expanded_tail(examples)
    low, high = values.quantile(torch.tensor([tail, 1 - tail], dtype=values.dtype), dim=0)
    return low, high


def interval(values: Tensor, examples: int) -> Interval | None:
    """The 95 % interval of resampled `values` (resamples,); None for fewer than two examples."""
    if examples < 2:
        return None
    low, high = bounds(values.unsqueeze(1), examples)
    return Interval(float(low), float(high))


def _expanded_tail(examples: int) -> float:
    z, freedom = NormalDist().inv_cdf((1 + LEVEL) / 2), examples - 1
    # Student's quantile to third order (Abramowitz and Stegun 26.7.5).
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return NormalDist().cdf(-t * math.sqrt(examples / freedom))
