"""Wanda and SparseGPT written out as their papers derive them, weight by weight, to hold ours against."""

from __future__ import annotations

import torch
from torch import Tensor


def wanda_mask(weight: Tensor, given: Tensor, ratio: float, runs: tuple[int, int] | None) -> Tensor:
    """Which of (outputs, inputs) go, written as the paper says it: row by row, weight by weight."""
    norms = given.square().sum(0).sqrt()
    mask = torch.zeros(weight.shape, dtype=torch.bool)
    for output in range(weight.shape[0]):
        scores = [abs(float(weight[output, i])) * float(norms[i]) for i in range(weight.shape[1])]
        drop, run = runs or (int(ratio * weight.shape[1]), weight.shape[1])
        for start in range(0, weight.shape[1], run):
            for i in sorted(range(start, start + run), key=scores.__getitem__)[:drop]:
                mask[output, i] = True
    return mask


def surgeon(
    weight: Tensor, gram: Tensor, ratio: float, runs: tuple[int, int] | None, block: int, ridge: float
) -> Tensor:
    """As the paper derives it: the inverse of what is left of the Hessian anew at every column."""
    weight, width = weight.double().clone(), weight.shape[1]
    hessian = gram + ridge * gram.diagonal().mean() * torch.eye(width, dtype=torch.float64)
    left = [torch.linalg.inv(hessian[i:, i:]) for i in range(width)]
    gone = torch.zeros(weight.shape, dtype=torch.bool)
    for i in range(width):
        ahead = []
        if runs is None and i % block == 0:
            ahead = [(range(i, min(i + block, width)), None)]
        elif runs is not None and i % runs[1] == 0:
            ahead = [(range(i, i + runs[1]), row) for row in range(weight.shape[0])]
        for columns, row in ahead:
            rows = range(weight.shape[0]) if row is None else [row]
            cost = {(r, c): float(weight[r, c]) ** 2 / float(left[c][0, 0]) for r in rows for c in columns}
            count = int(ratio * len(cost)) if runs is None else runs[0]
            for r, c in sorted(cost, key=cost.__getitem__)[:count]:
                gone[r, c] = True
        error = torch.where(gone[:, i], weight[:, i], 0.0) / left[i][0, 0]
        weight[:, i:] -= torch.outer(error, left[i][0])
        weight[gone[:, i], i] = 0.0
    return weight
