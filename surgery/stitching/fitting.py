"""Least squares from sums: the linear map from what one module gives to what another is given."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

HELD_OUT = 5
"""Of each batch's tokens the last one in so many is not fitted, but fit is judged by it."""
ENOUGH = 10
"""Tokens per unknown of an output below which a fit is likely to be of the sample alone."""
_CUTOFF = 1e-12  # of Grams: singular values of inputs below 1e-6 of the largest are noise of float32


@dataclass
class Sums:
    """ZᵀZ, ZᵀY and Σ y² over tokens in float64; Z = [X, 1], X (tokens, inputs), Y (tokens, outputs)."""

    inputs: int
    outputs: int
    gram: Tensor = field(init=False)
    cross: Tensor = field(init=False)
    squares: float = 0.0

    def __post_init__(self) -> None:
        self.gram = torch.zeros(self.inputs + 1, self.inputs + 1, dtype=torch.float64)
        self.cross = torch.zeros(self.inputs + 1, self.outputs, dtype=torch.float64)

    @property
    def tokens(self) -> int:
        """How many were added."""
        return int(self.gram[-1, -1])

    def add(self, x: Tensor, y: Tensor) -> None:
        """Adds tokens."""
        wide, target = x.double().cpu(), y.double().cpu()
        z = torch.cat([wide, wide.new_ones(len(wide), 1)], 1)
        self.gram += z.T @ z
        self.cross += z.T @ target
        self.squares += float(target.square().sum())

    def r2(self, solution: Tensor) -> float:
        """1 − Σ(y − zC)² / Σ(y − mean y)² of C (inputs + 1, outputs), over all outputs together."""
        left = (
            self.squares
            - 2 * float((solution * self.cross).sum())
            + float((solution * (self.gram @ solution)).sum())
        )
        spread = self.squares - float(self.cross[-1].square().sum()) / self.tokens
        return 1 - left / spread if spread > 0 else 0.0


@dataclass
class Fit:
    """Sums over tokens that are fitted and over those that are held out."""

    fitted: Sums
    held_out: Sums

    @classmethod
    def between(cls, inputs: int, outputs: int) -> Fit:
        """Without any token."""
        return cls(Sums(inputs, outputs), Sums(inputs, outputs))

    def add(self, x: Tensor, y: Tensor) -> None:
        """Adds a batch: the last fifth of its tokens is held out."""
        place = len(x) - len(x) // HELD_OUT
        self.fitted.add(x[:place], y[:place])
        self.held_out.add(x[place:], y[place:])

    def solution(self) -> Tensor:
        """C (inputs + 1, outputs) that minimises Σ(y − zC)² over the fitted tokens, the bias last.

        Where the data leave several, it is the smallest; of equal widths the one nearest to the identity.
        """
        gram, width = self.fitted.gram, self.fitted.inputs
        start = torch.zeros_like(self.fitted.cross)
        if width == self.fitted.outputs:
            start[:width] = torch.eye(width, dtype=torch.float64)
        lengths = gram.diagonal().clamp(min=torch.finfo(torch.float64).tiny).sqrt()
        scaled = gram / lengths[:, None] / lengths
        inverse = torch.linalg.pinv(scaled, hermitian=True, rtol=_CUTOFF)
        missing = (self.fitted.cross - gram @ start) / lengths[:, None]
        found: Tensor = start + (inverse @ missing) / lengths[:, None]
        return found
