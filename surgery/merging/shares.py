"""Weights divided by their sum, where that means something."""

from __future__ import annotations

from collections.abc import Sequence

from surgery.errors import SurgeryError

_CANCELLED = 1e-6
"""Of Σ|w|: a smaller |Σ w| is what rounding leaves of weights that cancel."""


def shares(weights: Sequence[float], path: str) -> tuple[float, ...]:
    """The weights over their sum; SurgeryError where they cancel, or are all zero."""
    total = sum(weights)
    if abs(total) <= _CANCELLED * sum(map(abs, weights)):
        raise SurgeryError("the weights sum up to zero", path=path, got=list(weights))
    return tuple(weight / total for weight in weights)
