"""Stable rank: in how many directions a matrix acts."""

from __future__ import annotations

import torch
from torch import Tensor

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser

EXACT = 1024
"""Up to so many rows or columns the largest singular value is computed, beyond it is iterated."""
ROUNDS = 64


@adviser(
    title="Stable rank",
    source="Rudelson and Vershynin 2007, arXiv:math/0503442",
    reads="weights",
    cost="the weights once, and the largest singular value of each matrix",
)
class StableRank(Adviser):
    """‖W‖²_F / ‖W‖²₂, the mean over the matrices at or below a place: 1 for rank one, n for n equal values.

    A convolution is the matrix of its filters. The norm of large matrices is iterated from a fixed start.
    """

    def score(self, case: Case) -> Advice:
        numbers = []
        for done, path in enumerate(case.paths):
            held = [value.detach() for value in case.parameters(path).values() if value.dim() > 1]
            found = [stable_rank(value.flatten(1)) for value in held]
            known = [value for value in found if value is not None]
            numbers.append(sum(known) / len(known) if known else torch.nan)
            case.step(done + 1, len(case.paths), path)
        return case.advice(self, case.paths, numbers)


def stable_rank(matrix: Tensor) -> float | None:
    """That of one matrix; None of zeros."""
    wide = matrix.float()
    whole = float(wide.square().sum())
    if not whole:
        return None
    if min(wide.shape) <= EXACT:
        largest = float(torch.linalg.matrix_norm(wide, 2))
    else:
        generator = torch.Generator().manual_seed(0)
        vector = torch.randn(wide.shape[1], generator=generator).to(wide.device)
        for _ in range(ROUNDS):
            vector = wide.T @ (wide @ vector)
            vector /= vector.norm()
        largest = float((wide @ vector).norm())
    return whole / largest**2
