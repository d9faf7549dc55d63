"""A recipe function that prunes a layer column by column and lets the weights to come make up for it.

Optimal brain surgeon with one inverse for all rows. Source: SparseGPT, Frantar and Alistarh 2023,
arXiv:2301.00774. Computed in float64.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import torch

from surgery.recipes import function


@function(tiling="whole", workspace=72)
def prune_and_compensate(
    weight: torch.Tensor,
    gram: torch.Tensor,
    *,
    ratio: float,
    drop: int,
    run: int,
    block: int,
    ridge: float,
    transposed: bool,
    zeros: int,
) -> torch.Tensor:
    """`weight` with part of it zero, and the rest changed so that its outputs on the inputs stay near.

    `gram` (inputs, inputs) is Σ x xᵀ of the inputs, to which `ridge` times the mean of its diagonal is added,
    the mean over inputs that are not always zero. Of each `block` of inputs the ⌊ratio · n⌋ weights go that
    cost least, over all outputs; or, where `run` is not 0, `drop` of each `run` of inputs of each output.
    Layout as in `zero_lightest`. Raises LinAlgError for
    a Gram that has no inverse.
    """
    rows = (weight.t() if transposed else weight.flatten(1)).double()
    made = pruned(rows, gram.to(weight.device).double(), ratio, drop, run, block, ridge).to(weight.dtype)
    return (made.t() if transposed else made.reshape(weight.shape)).contiguous()


def pruned(
    rows: torch.Tensor, gram: torch.Tensor, ratio: float, drop: int, run: int, block: int, ridge: float
) -> torch.Tensor:
    """The same of a weight (outputs, inputs) in float64."""
    dead = gram.diagonal() == 0  # such an input is zero always: its weights do nothing
    inverse = factor(gram, ridge)
    rows = rows.masked_fill(dead, 0.0)
    for start in range(0, rows.shape[1], block):
        end = min(start + block, rows.shape[1])
        local = inverse[start:end, start:end]
        columns = rows[:, start:end]
        gone = torch.zeros(columns.shape, dtype=torch.bool, device=rows.device)
        if not run:
            costs = (columns / local.diagonal()).square().flatten()
            count = in_block(ratio, columns.numel())
            gone.view(-1)[costs.argsort(stable=True)[:count]] = True
        lost = torch.zeros_like(columns)
        for place in range(end - start):
            if run and place % run == 0:
                ahead = slice(place, place + run)
                costs = (columns[:, ahead] / local.diagonal()[ahead]).square()
                gone.scatter_(1, place + costs.argsort(dim=1, stable=True)[:, :drop], True)
            column = columns[:, place]
            lost[:, place] = torch.where(gone[:, place], column, 0.0) / local[place, place]
            columns[:, place:] -= torch.outer(lost[:, place], local[place, place:])
        columns.masked_fill_(gone, 0.0)  # what rounding left of them
        rows[:, end:] -= lost @ inverse[start:end, end:]
    return rows


def in_block(ratio: float, count: int) -> int:
    """How many of so many weights go."""
    return floor(Fraction(repr(ratio)) * count)


def factor(gram: torch.Tensor, ridge: float) -> torch.Tensor:
    """The upper Cholesky factor of the inverse of the Gram with its ridge; LinAlgError if it has none."""
    diagonal = gram.diagonal()
    live = diagonal > 0
    mean = diagonal[live].mean() if bool(live.any()) else torch.ones((), dtype=gram.dtype, device=gram.device)
    whole = gram + torch.diag(torch.where(live, ridge * mean, mean))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(whole))
    upper: torch.Tensor = torch.linalg.cholesky(inverse, upper=True)
    return upper
