"""The inner products of tensors."""

from __future__ import annotations

import torch

from surgery.lazy import Lazy, Reduction


def gram(*tensors: Lazy) -> Reduction:
    """The inner products of tensors of one shape, each with each: (n, n) float64."""
    count = len(tensors)
    return Reduction(function="gram", inputs=tensors, shape=(count, count), dtype=torch.float64)
