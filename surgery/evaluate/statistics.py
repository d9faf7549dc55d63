"""Paired bootstrap: how sure a figure is, given that other examples might have been drawn.

Examples are resampled whole, n out of n, with the sums of both models in the same draws: what the
examples have in common cancels in their difference. Windows of one text are alike, so where there are
enough texts, whole texts are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

RESAMPLES = 2000
LEVEL = 0.95
BLOCK = 4_000_000
"""Numbers held in memory at a time."""
LEAST_DOCUMENTS = 8
"""Of fewer documents the spread between them cannot be told: their windows count as independent."""

Figures = Callable[[Tensor], Tensor]
"""From sums (…, columns) to figures (…, quantities)."""


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


@dataclass(frozen=True)
class Units:
    """What is drawn: the sums (n, columns) of n examples or documents, and the weight (n,) of each."""

    sums: Tensor
    weights: Tensor

    @property
    def effective(self) -> float:
        """How many equal ones they are worth (Kish 1965): large documents count for more than one."""
        return float(self.weights.sum() ** 2 / self.weights.square().sum())


def units(sums: Tensor, documents: Tensor | None) -> Units:
    """The units of examples with these `sums` (examples, columns): their documents where those are enough."""
    if documents is not None:
        _, place = documents.unique(return_inverse=True)
        count = int(place.max()) + 1
        if count >= LEAST_DOCUMENTS:
            ones = torch.ones(len(sums), dtype=torch.float64)
            together = torch.zeros(count, sums.shape[1], dtype=torch.float64)
            weights = torch.zeros(count, dtype=torch.float64).index_add_(0, place, ones)
            return Units(together.index_add_(0, place, sums.double()), weights)
    return Units(sums.double(), torch.ones(len(sums), dtype=torch.float64))


def intervals(figures: Figures, drawn: Units, *, seed: int, resamples: int = RESAMPLES) -> Tensor | None:
    """The 95 % bounds of each figure, (quantities, 2) float64; None for fewer than two units.

    Bootstrap-t with the standard error of the delta method (Efron 1982; DiCiccio and Efron 1996,
    doi:10.1214/ss/1032280214): losses are skewed, and percentiles then cover too little. Where draws have
    no spread, as those of a nearly perfect accuracy, percentiles, taken further out by as much as Student's t
    asks (Hesterberg 2015, arXiv:1411.5279). Units of unequal weight widen both.
    """
    n = len(drawn.sums)
    if n < 2:
        return None
    centred = drawn.sums - drawn.sums.mean(0)
    width = max(n, drawn.sums.shape[1] ** 2)
    found = [
        _figures_and_errors(figures, times, drawn.sums, centred)
        for times in _draws(n, seed, resamples, width)
    ]
    (value, values), (error, errors) = (
        torch.cat(parts).split([1, resamples]) for parts in zip(*found, strict=True)
    )
    tail, wider = expanded_tail(drawn.effective), _student(drawn.effective - 1) / _student(n - 1)
    # A draw may hold nothing that counts, such as no label: it says nothing.
    percentiles = quantiles(values, tail)
    ratios = (values - value) / errors
    studentised = value - quantiles(ratios, (1 - LEVEL) / 2).flip(0) * wider * error
    spread = (errors > 1e-3 * error).double().mean(0) > 0.999
    usable = spread & (error > 0)[0] & studentised.isfinite().all(0)
    return torch.where(usable, studentised, percentiles).T


def _figures_and_errors(
    figures: Figures, times: Tensor, sums: Tensor, centred: Tensor
) -> tuple[Tensor, Tensor]:
    """Figures and their errors, (draws, quantities) each, of draws that take rows `times` (draws, n).

    The error is that of the figure made linear at the draw's own sums. It is NaN for figures that have no
    derivative.
    """
    n, columns = sums.shape
    moments = (times @ (centred.unsqueeze(2) * centred.unsqueeze(1)).flatten(1)).view(-1, columns, columns)
    shifts = times @ centred
    with torch.enable_grad():
        totals = (times @ sums).requires_grad_()
        values = figures(totals)
        errors = torch.full_like(values, torch.nan)
        for place in range(values.shape[-1] if values.requires_grad else 0):
            (slope,) = torch.autograd.grad(
                values[:, place].sum(), totals, retain_graph=True, materialize_grads=True
            )
            squares = torch.einsum("dc,dce,de->d", slope, moments, slope)
            variance = squares - (slope * shifts).sum(1).square() / n
            errors[:, place] = (variance.clamp_min(0) * n / (n - 1)).sqrt()
    return values.detach(), errors.detach()


def _draws(n: int, seed: int, resamples: int, width: int) -> Iterator[Tensor]:
    """How often each draw takes each of n rows, (some draws, n) float64; the first takes each once.

    A draw needs `width` numbers.
    """
    generator, left = torch.Generator().manual_seed(seed), resamples
    times = torch.ones(1, n, dtype=torch.float64)
    while left:
        count = min(left, max(1, BLOCK // width))
        drawn = torch.randint(n, (count, n), generator=generator)
        some = torch.zeros(count, n, dtype=torch.float64)
        yield torch.cat([times, some.scatter_add_(1, drawn, torch.ones_like(some))])
        times, left = times[:0], left - count


def quantiles(values: Tensor, tail: float) -> Tensor:
    """What leaves the share `tail` of the draws below, and above, (2, quantities); without NaN.

    Of n draws the k-th leaves k / (n + 1), where torch's own quantile would be further in.
    """
    n = len(values)
    share = min(0.5, max(0.0, ((n + 1) * tail - 1) / (n - 1)))
    return values.nanquantile(torch.tensor([share, 1 - share], dtype=values.dtype), dim=0)


def expanded_tail(n: float) -> float:
    """The tail that percentiles over draws of `n` are to leave out on each side."""
    return NormalDist().cdf(-_student(n - 1) * math.sqrt(n / (n - 1)))


def _student(freedom: float) -> float:
    """Student's quantile to third order (Abramowitz and Stegun 26.7.5)."""
    z, freedom = NormalDist().inv_cdf((1 + LEVEL) / 2), max(freedom, 0.5)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
