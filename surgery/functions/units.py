"""Recipe functions that weigh units against each other, choose among them, and keep the chosen.

A unit is a slice that recurs along a dimension: a row, a head, an expert. Where it lies in a tensor is
given as `sections`, flat: start and size of each; see `surgery.widths.part.Cut`.
"""

from __future__ import annotations

import torch

from surgery.recipes import function


@function(tiling="whole")
def unit_energies(
    *tensors: torch.Tensor,
    count: int,
    dims: tuple[int, ...],
    sections: tuple[int, ...],
    lengths: tuple[int, ...],
) -> torch.Tensor:
    """Σ w² over all that belongs to a unit: `count` numbers in float32, or wider if a tensor is.

    Tensor i is cut along `dims[i]`; its sections are the next `lengths[i]` pairs of `sections`.
    """
    wide = torch.float32
    for tensor in tensors:
        wide = torch.promote_types(wide, tensor.dtype)
    total = torch.zeros(count, dtype=wide, device=tensors[0].device)
    pairs = list(zip(sections[::2], sections[1::2], strict=True))
    for tensor, dim, length in zip(tensors, dims, lengths, strict=True):
        here, pairs = pairs[:length], pairs[length:]
        others = [axis for axis in range(tensor.dim()) if axis != dim]
        energy = (
            torch.linalg.vector_norm(tensor, dim=others, dtype=wide).square()
            if others
            else tensor.to(wide).square()
        )
        for start, size in here:
            total += energy.narrow(0, start, count * size).view(count, size).sum(1).to(total.device)
    return total


@function(tiling="whole")
def largest(scores: torch.Tensor, *, keep: int) -> torch.Tensor:
    """The places of the `keep` largest scores, ascending; of equal ones the first. NaN counts as smallest."""
    ranked = torch.argsort(scores.nan_to_num(nan=-torch.inf), descending=True, stable=True)
    return ranked[:keep].sort().values


@function(tiling="whole")
def chosen(*, places: tuple[int, ...], shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """These places."""
    return torch.tensor(places, dtype=dtype, device="cpu")


@function(tiling="whole")
def take_units(
    tensor: torch.Tensor, index: torch.Tensor, *, count: int, dim: int, sections: tuple[int, ...]
) -> torch.Tensor:
    """`tensor` with the units at `index` alone, of `count`; what is in no section stays where it is."""
    pieces, behind = [], 0
    index = index.to(tensor.device)
    for start, size in sorted(zip(sections[::2], sections[1::2], strict=True)):
        if start > behind:
            pieces.append(tensor.narrow(dim, behind, start - behind))
        units = tensor.narrow(dim, start, count * size).unflatten(dim, (count, size))
        pieces.append(units.index_select(dim, index).flatten(dim, dim + 1))
        behind = start + count * size
    if behind < tensor.shape[dim]:
        pieces.append(tensor.narrow(dim, behind, tensor.shape[dim] - behind))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)
