"""Optimal transport between units, which POT computes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import gcd
from typing import Any

import torch

from surgery.errors import SurgeryError

TURNS = 10_000_000
"""Steps of the simplex, of which each takes microseconds."""
SWEEPS = 20_000
"""Of Sinkhorn's scalings."""
EXPONENT = 400.0
"""What has no exponential in float64, with room for scalings; beyond it logarithms are scaled, slowly."""
LOOSE = 1e-4
"""How far the marginals of a plan may be from uniform."""

Solve = Callable[[torch.Tensor], torch.Tensor]
"""From what unit j there brings in place i here, (n, m) float64, to a plan: see `functions.transport`."""


def exact(gains: torch.Tensor) -> torch.Tensor:
    """The plan of uniform marginals with the largest gain: an order where n = m, else masses (k, 3).

    Masses are whole numbers, so that they add up exactly: each unit here has m/g, each there n/g of them, g
    being the greatest common divisor.
    """
    rows, columns = gains.shape
    common = gcd(rows, columns)
    ends = (torch.full((rows,), columns // common), torch.full((columns,), rows // common))
    arguments = [each.double().numpy() for each in (*ends, _costs(gains))]
    found, log = _pot().emd(*arguments, numItermax=TURNS, log=True)
    if log["warning"] is not None:
        raise SurgeryError(
            "no optimal plan was found between these units",
            got=f"{rows} here, {columns} there: {log['warning']}",
            hint="`regularization=0.1`",
        )
    plan = torch.from_numpy(found).round().to(torch.int64)
    if rows == columns:
        return plan.argmax(1)
    places = plan.nonzero()
    return torch.cat([places, plan[places[:, 0], places[:, 1]].unsqueeze(1)], 1)


def softened(regularization: float) -> Solve:
    """Plans that also have an entropy, which weighs so many standard deviations of the pairs' gains.

    The deviations are those that are left without the means of rows and columns, which no plan depends on.
    """

    def solve(gains: torch.Tensor) -> torch.Tensor:
        rows, columns = gains.shape
        apart = gains - gains.mean(0, keepdim=True) - gains.mean(1, keepdim=True) + gains.mean()
        spread = float(apart.square().mean().sqrt())
        if not spread > 1e-12 * float(gains.abs().max()):
            return torch.full((rows, columns), 1 / (rows * columns), dtype=torch.float64)
        ends = [torch.full((size,), 1 / size, dtype=torch.float64).numpy() for size in (rows, columns)]
        costs = -apart / spread
        small = float(costs.max() - costs.min()) < EXPONENT * regularization
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whether it is near enough is seen below
            found = _pot().sinkhorn(
                *ends,
                costs.numpy(),
                reg=regularization,
                method="sinkhorn" if small else "sinkhorn_log",
                numItermax=SWEEPS,
                stopThr=0.1 * LOOSE / max(rows, columns),
            )
        plan = torch.from_numpy(found)
        off = max(float((plan.sum(dim) * plan.shape[1 - dim] - 1).abs().max()) for dim in (0, 1))
        if not off < LOOSE:
            raise SurgeryError(
                "Sinkhorn's scalings did not settle",
                got=f"marginals off by {off:.2g} after {SWEEPS:,} of them",
                expected=f"at most {LOOSE:g}",
                hint="a larger `regularization`, or 0 for exact plans",
            )
        return plan

    return solve


def in_place(rows: int, columns: int) -> torch.Tensor:
    """The plan that keeps the order: what is at one part of the width goes to the same part of the other."""
    if rows == columns:
        return torch.arange(rows)
    common = gcd(rows, columns)
    wide, narrow = columns // common, rows // common
    found = []
    for row in range(rows):
        for column in range(row * wide // narrow, -(-(row + 1) * wide // narrow)):
            mass = min((row + 1) * wide, (column + 1) * narrow) - max(row * wide, column * narrow)
            found.append((row, column, mass))
    return torch.tensor(found, dtype=torch.int64)


def _costs(gains: torch.Tensor) -> torch.Tensor:
    """From 0 to 1, for a solver whose tolerances are of that size."""
    least, most = gains.min(), gains.max()
    return (most - gains) / (most - least) if most > least else torch.zeros_like(gains)


def _pot() -> Any:
    try:
        import ot
    except ImportError as error:
        raise SurgeryError(
            f"plans of transport are found with POT, which can't be imported ({error})",
            hint="`pip install POT`",
        ) from None
    return ot
