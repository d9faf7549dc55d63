"""How losses that were measured one by one add up, learned from plans that were measured whole.

Edits interact: several together cost more than the sum where one undoes what another relied on, and less
where little is left to lose. What a plan loses beyond the sum, in parts of the size of its losses, is smooth:
plans of alike size have alike excesses, and those that share edits more so. So it is interpolated between
measured plans (kernel ridge regression, which without any says: none), and the band around it is that of the
jackknife+ (Barber, Candès, Ramdas and Tibshirani 2021, arXiv:1905.02928): how far each measured plan lies
from what the others say of it. Whatever the interactions are, it holds as it says as long as the next plan is
drawn as those were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

LEVEL = 0.9
"""The share of plans that a band is to hold."""
LEAST_PLANS = 9
"""So many plans have a largest residual that one more exceeds one time in ten."""
PRIOR = (-0.6, 2.0)
"""Before: from 0.4 times the sum to three times. Random models gave 0.65, trained ones up to twice."""
COMMON, BY_SIZE, BY_EDITS, NOISE = 0.5, 0.3, 0.6, 0.1
"""Standard deviations of the excess: of all plans alike, per e-fold of size, of plans without an edit in
common, and of what is left. They shape the centre; that the band holds hangs on none of them."""
_NOTHING = 1e-9


@dataclass(frozen=True)
class Tried:
    """A plan of these edits: the sum of their losses, their size, and what it lost when measured."""

    keys: frozenset[str]
    sum: float
    size: float
    loss: float = math.nan

    @property
    def excess(self) -> float:
        """How much more it lost than the sum, in sizes."""
        return (self.loss - self.sum) / max(self.size, _NOTHING)


@dataclass(frozen=True)
class Expected:
    """A loss as it is expected: within low and high nine times of ten."""

    centre: float
    low: float
    high: float

    def __contains__(self, loss: float) -> bool:
        return self.low <= loss <= self.high


@dataclass(frozen=True)
class Interaction:
    """What is known of interactions from the plans `tried`."""

    tried: tuple[Tried, ...]

    @property
    def is_calibrated(self) -> bool:
        """Whether enough plans were measured for a band that holds so many as it says."""
        return len(self.tried) >= LEAST_PLANS

    def expected(self, plan: Tried) -> Expected:
        """What a plan of several edits is expected to lose."""
        size = max(plan.size, _NOTHING)
        centre, lows, highs = self._excess(plan)
        if self.is_calibrated:
            place = min(len(lows), math.ceil(LEVEL * (len(lows) + 1) - 1e-9))
            low, high = lows[len(lows) - place], highs[place - 1]
        else:
            seen = [item.excess for item in self.tried]
            low, high = min([PRIOR[0], *seen]), max([PRIOR[1], *seen])
        centre = min(max(centre, low), high)
        return Expected(*(plan.sum + size * part for part in (centre, low, high)))

    def _excess(self, plan: Tried) -> tuple[float, list[float], list[float]]:
        """What all measured plans say of one; and without each of them, less and more its residual."""
        if not self.tried:
            return 0.0, [], []
        inverse, weights, residuals = self._fit
        near = self._likeness([plan])[0]
        centre = near @ weights
        without = centre - (near @ inverse) * residuals
        lows, highs = (without - residuals.abs()), (without + residuals.abs())
        return float(centre), sorted(lows.tolist()), sorted(highs.tolist())

    @cached_property
    def _fit(self) -> tuple[Tensor, Tensor, Tensor]:
        """The inverse, the weights, and the residual of each plan from the fit to all others."""
        count = len(self.tried)
        noise = NOISE**2 * torch.eye(count, dtype=torch.float64)
        inverse = torch.linalg.inv(self._likeness(self.tried) + noise)
        weights = inverse @ torch.tensor([item.excess for item in self.tried], dtype=torch.float64)
        return inverse, weights, weights / inverse.diagonal()

    @cached_property
    def _middle(self) -> float:
        return sum(map(_log, self.tried)) / len(self.tried)

    def _likeness(self, plans: Sequence[Tried]) -> Tensor:
        """How alike the excesses of the plans are to be to those of each that was tried: covariances."""
        known = {
            key: place for place, key in enumerate(sorted({key for item in self.tried for key in item.keys}))
        }
        mine, theirs = _has(plans, known), _has(self.tried, known)
        both = mine @ theirs.T
        counts = torch.tensor([float(len(item.keys)) for item in plans], dtype=torch.float64)
        either = counts[:, None] + theirs.sum(1) - both
        sizes = [
            torch.tensor([_log(item) - self._middle for item in group], dtype=torch.float64)
            for group in (plans, self.tried)
        ]
        by_size = BY_SIZE**2 * sizes[0][:, None] * sizes[1]
        return COMMON**2 + by_size + BY_EDITS**2 * both / either.clamp_min(1.0)


def _has(plans: Sequence[Tried], known: Mapping[str, int]) -> Tensor:
    """Which of the known edits each plan has, (plans, edits) of ones and zeros."""
    found = torch.zeros(len(plans), len(known), dtype=torch.float64)
    for row, item in enumerate(plans):
        places = [known[key] for key in item.keys if key in known]
        found[row, places] = 1.0
    return found


def _log(plan: Tried) -> float:
    return math.log(max(plan.size, _NOTHING))
