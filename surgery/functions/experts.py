"""Recipe functions that bring experts together: which neuron of one is which of another."""

from __future__ import annotations

import torch

from surgery.errors import SurgeryError
from surgery.recipes import function


@function(tiling="whole", workspace=40)
def aligned_neurons(
    *tensors: torch.Tensor,
    count: int,
    dims: tuple[int, ...],
    sections: tuple[int, ...],
    lengths: tuple[int, ...],
) -> torch.Tensor:
    """For each neuron of the first expert the place of the second's that is most like it, (count,) int64.

    The tensors are those of the first, then those of the second in the same order. Where neurons lie in each
    `dims` and `sections` (start, size, …; `lengths` of them per tensor) say. It is the one-to-one assignment
    with the largest sum of products of the weights. Needs scipy.
    """
    from scipy.optimize import linear_sum_assignment

    half = len(tensors) // 2
    products = torch.zeros(count, count, dtype=torch.float64)
    flat, at = list(zip(sections[::2], sections[1::2], strict=True)), 0
    for one, other, dim, length in zip(tensors[:half], tensors[half:], dims, lengths, strict=True):
        for start, size in flat[at : at + length]:
            mine, theirs = (_neurons(tensor, count, dim, start, size) for tensor in (one, other))
            products += (mine @ theirs.T).cpu()
        at += length
    _, places = linear_sum_assignment(products.numpy(), maximize=True)
    return torch.from_numpy(places).long()


def _neurons(tensor: torch.Tensor, count: int, dim: int, start: int, size: int) -> torch.Tensor:
    """What each neuron has in a section, (count, values) float64."""
    section = tensor.narrow(dim, start, count * size).double()
    apart: torch.Tensor = section.unflatten(dim, (count, size))
    return apart.movedim(dim, 0).flatten(1)


@function(tiling="whole")
def unmeasured(*, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Stands for what hangs on a measure that was not made or is not at hand: there is nothing to compute."""
    raise SurgeryError(
        "what was measured for this step is not at hand", got=f"no values of {list(shape)} {dtype}"
    )
