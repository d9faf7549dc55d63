"""Recipe functions that weigh units against each other, choose among them, keep the chosen, add zeros.

A unit is a slice that recurs along a dimension: a row, a head, an expert. Where it lies in a tensor is
given as `sections`, flat: start and size of each; see `surgery.widths.part.Cut`.
"""

from __future__ import annotations

from math import gcd

import torch

from surgery.functions.drawn import uniform_from
from surgery.recipes import function

_AT_ONCE = 1 << 19  # elements widened at a time: they stay in the processor's cache
_SMALL_BYTES = 64  # of pieces smaller than this numpy takes more per second than torch
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


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
        energy = _energies(tensor, dim, wide)
        for start, size in here:
            units = energy.narrow(0, start, count * size)
            total += (units if size == 1 else units.view(count, size).sum(1)).to(total.device)
    return total


def _energies(tensor: torch.Tensor, dim: int, wide: torch.dtype) -> torch.Tensor:
    """Σ w² over every dimension but `dim`, a little at a time: a wide copy of all would be slow."""
    before, length, behind = tensor.shape[:dim].numel(), tensor.shape[dim], tensor.shape[dim + 1 :].numel()
    if tensor.numel() <= _AT_ONCE:
        return tensor.reshape(before, length, behind).to(wide).square().sum((0, 2))
    energy = torch.zeros(length, dtype=wide, device=tensor.device)
    for rows in tensor.reshape(before, length, behind).split(max(1, _AT_ONCE // (length * behind))):
        start = 0
        for part in rows.split(max(1, _AT_ONCE // behind), 1):
            end = start + part.shape[1]
            for piece in part.split(_AT_ONCE, 2):
                energy[start:end] += piece.to(wide).square().sum((0, 2))
            start = end
    return energy


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
def shuffled(*, seed: int, path: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """The places 0, 1, … in an order that (seed, path) draws."""
    return uniform_from(seed, path, 0, shape[0]).argsort(stable=True).to(dtype)


@function(tiling="whole")
def take_units(
    tensor: torch.Tensor, index: torch.Tensor, *, count: int, dim: int, sections: tuple[int, ...]
) -> torch.Tensor:
    """`tensor` with the units at `index` alone, in its order; what is in no section stays where it is.

    There were `count` of them.
    """
    width = gcd(tensor.shape[dim], *sections)
    pairs = sorted(zip(sections[::2], sections[1::2], strict=True))
    pieces = [(start // width, size // width) for start, size in pairs]
    places = _places(index.cpu(), count, pieces, tensor.shape[dim] // width)
    first, last = int(places[0]), int(places[-1])
    if last - first == len(places) - 1 and torch.equal(places, torch.arange(first, last + 1)):
        run = tensor.narrow(dim, first * width, len(places) * width)
        return run.clone(memory_format=torch.contiguous_format)
    if width == 1:
        return _taken(tensor, dim, places)
    return _taken(tensor.unflatten(dim, (-1, width)), dim, places).flatten(dim, dim + 1)


def _places(index: torch.Tensor, count: int, sections: list[tuple[int, int]], length: int) -> torch.Tensor:
    """Which of `length` pieces stay, in order; starts and sizes are counted in pieces."""
    found, behind = [], 0
    for start, size in sections:
        if behind < start:
            found.append(torch.arange(behind, start))
        found.append(start + index if size == 1 else _entries(index, start, size))
        behind = start + count * size
    if behind < length:
        found.append(torch.arange(behind, length))
    return found[0] if len(found) == 1 else torch.cat(found)


def _entries(index: torch.Tensor, start: int, size: int) -> torch.Tensor:
    """Which pieces the units at `index` have, `size` each from `start` on."""
    return (start + index[:, None] * size + torch.arange(size)).flatten()


def _taken(tensor: torch.Tensor, dim: int, places: torch.Tensor) -> torch.Tensor:
    """The slices of `tensor` at `places` along `dim`."""
    integers = _INTEGERS.get(tensor.element_size())
    piece = tensor.shape[dim + 1 :].numel() * tensor.element_size()
    if tensor.device.type != "cpu" or dim == 0 or integers is None or piece >= _SMALL_BYTES:
        return tensor.index_select(dim, places.to(tensor.device))
    taken = tensor.contiguous().view(integers).numpy().take(places.numpy(), axis=dim)
    return torch.from_numpy(taken).view(tensor.dtype)


@function(tiling="rows", workspace=4)
def grown(tensor: torch.Tensor, *, factor: float, offset: float) -> torch.Tensor:
    """(θ + offset) · factor − offset, in float32 or wider."""
    wide = tensor.to(torch.promote_types(tensor.dtype, torch.float32), copy=True)
    return wide.add_(offset).mul_(factor).sub_(offset).to(tensor.dtype)


@function(tiling="whole")
def pad_units(
    tensor: torch.Tensor, *, count: int, more: int, dim: int, sections: tuple[int, ...]
) -> torch.Tensor:
    """`tensor` with `more` units of zeros behind the `count` of each section, along `dim`."""
    pieces, behind = [], 0
    for start, size in sorted(zip(sections[::2], sections[1::2], strict=True)):
        end = start + count * size
        shape = [*tensor.shape[:dim], more * size, *tensor.shape[dim + 1 :]]
        pieces += [tensor.narrow(dim, behind, end - behind), tensor.new_zeros(shape)]
        behind = end
    pieces.append(tensor.narrow(dim, behind, tensor.shape[dim] - behind))
    return torch.cat(pieces, dim)
