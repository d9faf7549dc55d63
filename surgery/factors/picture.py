"""The picture that helps to choose ranks: how much of a matrix its first directions hold."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from surgery.charts import Curves

LINES, POINTS = 4, 65
"""Of a chart: layers that have a line, and points of each."""
LARGEST = 4096
"""The shorter side of a matrix that is drawn: the spectrum of a larger one takes minutes."""


def kept_energy(
    energies: Mapping[str, torch.Tensor], count: int, mark: int | None, what: str = "Energy"
) -> Curves:
    """The part of Σσ² that the first ranks keep, for each of these of `count` layers; a `mark` at a rank."""
    more = f", {len(energies)} of {count}" if len(energies) < count else ""
    return Curves(
        title=f"{what} kept by rank{more}",
        lines={path: _line(energy) for path, energy in energies.items()},
        x="rank",
        y="part of Σσ²",
        mark=None if mark is None else float(mark),
    )


def _line(energy: torch.Tensor) -> tuple[tuple[float, float], ...]:
    """(rank, part kept) from rank 0 on, at evenly spaced ranks; flat at 0 of a matrix of zeros."""
    kept = torch.cat([energy.new_zeros(1), energy.cumsum(0)])
    kept = kept / kept[-1] if kept[-1] > 0 else kept
    places = torch.linspace(0, len(energy), min(POINTS, len(energy) + 1)).round().long()
    return tuple((float(place), float(kept[place])) for place in places)
