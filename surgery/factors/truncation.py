"""What a truncated decomposition leaves out, as curves over how much is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from surgery.factors.spectra import energies_of
from surgery.recipes import one_thread

EXACT_SIDE = 1024
"""Of matrices with a shorter side up to this all singular values are found, of larger ones the first."""

_FIRST, _POINTS = 256, 48


@dataclass(frozen=True)
class Spectrum:
    """The squares of singular values from the largest on, (n,) float64, and the sum of all there are.

    `whole` is the square of the norm that an error is relative to.
    """

    squares: torch.Tensor
    total: float
    whole: float

    def left(self, kept: int) -> float:
        """The square of the error with the first `kept` terms; of terms that were not found, at most that."""
        found = float(self.squares.sum())
        return max(0.0, self.total - found) + float(self.squares[kept:].sum())


def spectrum_of(matrix: torch.Tensor, whole: float) -> Spectrum:
    """Of a matrix; of one that is large, the first terms, by two rounds of a random subspace."""
    with torch.no_grad(), one_thread():
        wide = matrix.to("cpu", torch.float64)
        wide = wide.T if wide.shape[0] < wide.shape[1] else wide
        if wide.shape[1] > EXACT_SIDE:
            total, wide = float(wide.square().sum()), wide.float()
            generator = torch.Generator().manual_seed(0)
            found = wide @ torch.randn(wide.shape[1], _FIRST, generator=generator, device="cpu")
            for _ in range(2):
                found = wide @ (wide.T @ torch.linalg.qr(found)[0])
            wide = (wide.T @ torch.linalg.qr(found)[0]).double()
            return Spectrum(energies_of(wide), total, whole)
        squares = energies_of(wide)
        return Spectrum(squares, float(squares.sum()), whole)


def error_curve(spectra: Sequence[Spectrum], most: int | None = None) -> tuple[tuple[float, float], ...]:
    """The relative error of all of them together, over how many terms each keeps: (terms, part of 1)."""
    most = max(len(item.squares) for item in spectra) if most is None else most
    whole = sum(item.whole for item in spectra)
    step = max(1, -(-most // _POINTS))
    kept = [*range(0, most, step), most]
    return tuple(
        (float(terms), (sum(item.left(terms) for item in spectra) / whole) ** 0.5 if whole else 0.0)
        for terms in kept
    )
