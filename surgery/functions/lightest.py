"""A recipe function that zeroes, in each row and run of inputs, what weighs least by what it multiplies.

Source: Wanda, Sun et al. 2023, arXiv:2306.11695.
"""

from __future__ import annotations

import torch

from surgery.recipes import function

_AT_ONCE = 1 << 20  # weights that are ranked at a time: their order takes four times their own memory


@function(tiling="whole", workspace=8)
def zero_lightest(
    weight: torch.Tensor, norms: torch.Tensor, *, drop: int, run: int, transposed: bool, zeros: int
) -> torch.Tensor:
    """`weight` with the `drop` smallest |w| · norm of each `run` of inputs of each output set to zero.

    `norms` (inputs,) are those of what the weights multiply. Of equal ones the first go. `weight` is
    (outputs, …), all else being inputs, or, `transposed`, (inputs, outputs). `zeros`: how many go in all.
    """
    rows = weight.t() if transposed else weight.flatten(1)
    made = weight.clone(memory_format=torch.contiguous_format)
    target = made.t() if transposed else made.view(rows.shape)
    for start in range(0, len(rows), max(1, _AT_ONCE // rows.shape[1])):
        part = slice(start, start + max(1, _AT_ONCE // rows.shape[1]))
        target[part] = target[part].masked_fill(_lightest(rows[part], norms, drop, run), 0.0)
    return made


def scores(rows: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """|w| · norm, (outputs, inputs), in float32 or what is wider."""
    dtype = torch.promote_types(rows.dtype, torch.float32)
    return rows.abs().to(dtype) * norms.to(rows.device, dtype)


def _lightest(rows: torch.Tensor, norms: torch.Tensor, drop: int, run: int) -> torch.Tensor:
    """Which weights of (outputs, inputs) go."""
    runs = scores(rows, norms).reshape(-1, run)
    order = runs.argsort(dim=1, stable=True)
    mask = torch.zeros(runs.shape, dtype=torch.bool, device=rows.device)
    return mask.scatter_(1, order[:, :drop], True).view(rows.shape)
