"""A recipe function that carries units of another model to those of this one by transport plans.

Source: OTFusion, Singh and Jaggi 2020, arXiv:1910.05653. A plan between n units here and m there is one of
- an order, (n,) int64, where n = m: place i has what was at `order[i]`;
- masses, (k, 3) int64: k times (unit here, unit there, mass);
- masses of all pairs, (n, m) floating point.
"""

from __future__ import annotations

import torch

from surgery.recipes import function


def shares(plan: torch.Tensor, rows: int, columns: int, *, reads: bool) -> torch.Tensor:
    """What unit i here has of unit j there: (rows, columns) float64, of which each row sums to 1.

    Of what `reads` the units each column does: what reads a unit there is shared out among those here.
    """
    mass = torch.zeros(rows, columns, dtype=torch.float64)
    if plan.dim() == 1:
        mass[torch.arange(rows), plan.cpu()] = 1.0
    elif plan.is_floating_point():
        mass = plan.cpu().double()
    else:
        here, there, weight = plan.cpu().unbind(1)
        mass.index_put_((here, there), weight.double(), accumulate=True)
    return mass / mass.sum(0 if reads else 1, keepdim=True)


@function(tiling="whole", workspace=40)
def carry_units(
    tensor: torch.Tensor,
    *plans: torch.Tensor,
    dim: int,
    counts: tuple[int, ...],
    reads: tuple[int, ...],
    lengths: tuple[int, ...],
    sections: tuple[int, ...],
) -> torch.Tensor:
    """`tensor` in float64 with this model's units along `dim`, by a plan for each group that lies there.

    `counts` are units here and there of each group, `reads` whether they are read, `lengths` how many of the
    `sections`, (start here, start there, entries of a unit), are its own. What is in no section stays.
    """
    return carried(tensor, layout(tensor.shape[dim], plans, counts, reads, lengths, sections), dim)


def carried(tensor: torch.Tensor, matrix: torch.Tensor, dim: int) -> torch.Tensor:
    """`matrix` times the tensor, along `dim`; in float64."""
    ahead = tensor.movedim(dim, 0).double()
    made = matrix.to(ahead.device) @ ahead.reshape(len(ahead), -1)
    return made.view(len(matrix), *ahead.shape[1:]).movedim(0, dim).contiguous()


def layout(
    size: int,
    plans: tuple[torch.Tensor, ...],
    counts: tuple[int, ...],
    reads: tuple[int, ...],
    lengths: tuple[int, ...],
    sections: tuple[int, ...],
) -> torch.Tensor:
    """What each entry here has of each of the `size` there along a dimension, float64; see `carry_units`."""
    left = list(zip(sections[::3], sections[1::3], sections[2::3], strict=True))
    blocks: list[tuple[int, int, torch.Tensor]] = []
    for number, (plan, length) in enumerate(zip(plans, lengths, strict=True)):
        here, there = counts[2 * number : 2 * number + 2]
        share = shares(plan, here, there, reads=bool(reads[number]))
        pieces, left = left[:length], left[length:]
        for start, other, width in pieces:
            blocks.append((start, other, torch.kron(share, torch.eye(width, dtype=torch.float64))))
    wide = size + sum(block.shape[0] - block.shape[1] for _, _, block in blocks)
    matrix = torch.zeros(wide, size, dtype=torch.float64)
    mine, theirs = torch.ones(wide, dtype=torch.bool), torch.ones(size, dtype=torch.bool)
    for start, other, block in blocks:
        ends = start + block.shape[0], other + block.shape[1]
        matrix[start : ends[0], other : ends[1]] = block
        mine[start : ends[0]], theirs[other : ends[1]] = False, False
    matrix[mine.nonzero()[:, 0], theirs.nonzero()[:, 0]] = 1.0
    return matrix
