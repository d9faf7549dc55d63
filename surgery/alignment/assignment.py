"""The linear assignment problem, which scipy solves."""

from __future__ import annotations

import torch

from surgery.errors import SurgeryError


def assigned(gains: torch.Tensor) -> torch.Tensor:
    """Which column each row of a square matrix gets, each once, so that the sum is largest: (rows,) int64."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise SurgeryError(
            f"units are matched with scipy, which can't be imported ({error})", hint="`pip install scipy`"
        ) from None
    return torch.from_numpy(linear_sum_assignment(gains.numpy(), maximize=True)[1]).to(torch.int64)
