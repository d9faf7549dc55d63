"""Recipe functions for weights that several layers share, each with a small transformation of its own.

Heads: W = (M ⊗ I) W′, where M (heads, heads) mixes slices of equal size along a dimension of W′. Units:
W = diag(g) W′ or W′ diag(g). All is least squares, in float64. After Zhang et al. 2022, arXiv:2204.07154.
"""

from __future__ import annotations

import torch

from surgery.errors import SurgeryError
from surgery.functions.task_vectors import wide
from surgery.recipes import function
from surgery.reductions import reduction


def slices(weight: torch.Tensor, dim: int, start: int, heads: int, size: int) -> torch.Tensor:
    """The heads that lie from `start` on along `dim` of a matrix as rows, (heads, size · other side)."""
    part = weight.narrow(dim, start, heads * size)
    if dim == 0:
        return part.reshape(heads, -1)
    return part.reshape(-1, heads, size).transpose(0, 1).reshape(heads, -1)


def joined(rows: torch.Tensor, dim: int, size: int) -> torch.Tensor:
    """The heads side by side again along `dim`: what `slices` took apart."""
    if dim == 0:
        return rows.reshape(len(rows) * size, -1)
    return rows.reshape(len(rows), -1, size).transpose(0, 1).reshape(-1, len(rows) * size)


@function(tiling="whole", workspace=32)
def shared_of_heads(
    *tensors: torch.Tensor, dim: int, heads: tuple[int, ...], sizes: tuple[int, ...]
) -> torch.Tensor:
    """W′ to which all of the weights are nearest, each with the mixes of its heads that suit it best.

    The first tensors are, for each section of heads, the inner products of the heads of all weights, as many
    rows as these have heads together; then come the weights. With their heads as rows of X = U Σ Vᵀ, W′ spans
    the first `heads` right vectors, and what is left out is the tail of σ². Of all bases of that space it is
    the one in which the mixes are nearest to the identity on average, and of mean square 1.
    """
    products, weights = tensors[: len(heads)], tensors[len(heads) :]
    parts, start = [], 0
    for gram, count, size in zip(products, heads, sizes, strict=True):
        mixes = _mixes(gram, len(weights), count).to(weights[0].device)
        total: torch.Tensor | None = None
        for mix, weight in zip(mixes, weights, strict=True):
            more = mix.T @ slices(weight.to(mix.device, torch.float64), dim, start, count, size)
            total = more if total is None else total.add_(more)
        assert total is not None
        parts.append(joined(total / len(weights), dim, size))
        start += count * size
    return torch.cat(parts, dim).to(weights[0].dtype).contiguous()


def _mixes(products: torch.Tensor, weights: int, heads: int) -> torch.Tensor:
    """The mix of each weight, (weights, heads, heads), of which the sum of Mᵀ M is `weights` · I."""
    _refuse_no_numbers(products)
    vectors = torch.linalg.eigh(products)[1].flip(1)[:, :heads]
    mixes = vectors.reshape(weights, heads, heads) * weights**0.5
    left, _, right = torch.linalg.svd(mixes.mean(0))
    turned: torch.Tensor = mixes @ (left @ right).T
    return turned


@function(tiling="whole", workspace=32)
def fitted_mix(
    own: torch.Tensor, shared: torch.Tensor, *, dim: int, start: int, heads: int, size: int
) -> torch.Tensor:
    """M (heads, heads) with which (M ⊗ I) W′ is nearest to a layer's own weight, in the dtype of that."""
    mine, theirs = (
        slices(weight.to(own.device, torch.float64), dim, start, heads, size) for weight in (own, shared)
    )
    products = theirs @ theirs.T
    _refuse_no_numbers(products)
    mix: torch.Tensor = mine @ theirs.T @ torch.linalg.pinv(products, hermitian=True)
    return mix.to(own.dtype)


@function(tiling="whole", workspace=24)
def fitted_gain(own: torch.Tensor, shared: torch.Tensor, *, dim: int) -> torch.Tensor:
    """The factor for each place along `dim` with which W′ is nearest to a layer's own weight.

    Where W′ is zero it is 1.
    """
    mine, theirs = (weight.to(own.device, torch.float64) for weight in (own, shared))
    squares = theirs.square().sum(1 - dim)
    _refuse_no_numbers(squares)
    gains = (mine * theirs).sum(1 - dim) / torch.where(squares == 0, 1.0, squares)
    return torch.where(squares == 0, 1.0, gains).to(own.dtype)


@function(tiling="whole", workspace=24)
def shared_of_units(products: torch.Tensor, *weights: torch.Tensor, dim: int) -> torch.Tensor:
    """W′ to which all weights are nearest, each with the factors along `dim` that suit it best.

    For each place the vectors of all weights have one direction, the first of their singular value
    decomposition; `products` are their inner products as `unit_products` has them. The factors have a mean
    square of 1.
    """
    _refuse_no_numbers(products)
    values, vectors = torch.linalg.eigh(products.permute(2, 0, 1))
    gains = vectors[:, :, -1] * len(weights) ** 0.5
    gains = torch.where(gains.sum(1, keepdim=True) < 0, -gains, gains)
    gains = torch.where(values[:, -1:] <= 0, 1.0, gains).T.to(weights[0].device)
    total = torch.zeros(weights[0].shape, dtype=torch.float64, device=gains.device)
    for gain, weight in zip(gains, weights, strict=True):
        total += weight.to(gains.device, torch.float64) * gain.unsqueeze(1 - dim)
    return (total / len(weights)).to(weights[0].dtype)


@function(tiling="whole", workspace=16)
def multiplied_heads(
    shared: torch.Tensor,
    *mixes: torch.Tensor,
    dim: int,
    heads: tuple[int, ...],
    sizes: tuple[int, ...],
) -> torch.Tensor:
    """(M ⊗ I) W′ for each section of heads, in the dtype of W′."""
    dtype, start, parts = wide(shared.dtype), 0, []
    for mix, count, size in zip(mixes, heads, sizes, strict=True):
        rows = slices(shared.to(dtype), dim, start, count, size)
        parts.append(joined(mix.to(shared.device, dtype) @ rows, dim, size))
        start += count * size
    return torch.cat(parts, dim).to(shared.dtype).contiguous()


@function(tiling="whole", workspace=16)
def multiplied_units(shared: torch.Tensor, gain: torch.Tensor, *, dim: int) -> torch.Tensor:
    """W′ times a factor for each place along `dim`, in the dtype of W′."""
    return shared * gain.to(shared.device).unsqueeze(1 - dim)


@reduction("unit_products", joint=True, workspace=40)
class UnitProducts:
    """For each place along `dim` the inner products of all inputs there: (inputs, inputs, places) float64.

    The inputs are matrices with `width` columns.
    """

    passes = 1

    def __init__(self, inputs: int, *, rows: int, width: int, dim: int) -> None:
        self.width, self.dim, self.begun = width, dim, 0
        places = rows if dim == 0 else width
        self.products = torch.zeros(inputs, inputs, places, dtype=torch.float64, device="cpu")

    def update(self, number: int, index: int, *tiles: torch.Tensor) -> None:
        size = tiles[0].numel()
        first, before = divmod(self.begun, self.width)
        rows = -(-(before + size) // self.width)  # with what belongs to other tiles as zeros
        shape = (len(tiles), rows * self.width)
        together = torch.zeros(shape, dtype=torch.float64, device=tiles[0].device)
        for row, tile in zip(together, tiles, strict=True):
            row[before : before + size].copy_(tile)
        places = together.reshape(len(tiles), rows, self.width).transpose(0, 1)
        if self.dim == 1:
            places = places.permute(2, 1, 0).contiguous()
        found = torch.bmm(places, places.transpose(1, 2)).permute(1, 2, 0).cpu()
        if self.dim == 0:
            self.products[:, :, first : first + rows] += found
        else:
            self.products += found
        self.begun += size

    def end_pass(self, number: int) -> None: ...

    def finish(self) -> torch.Tensor:
        return self.products


def _refuse_no_numbers(products: torch.Tensor) -> None:
    if not bool(products.isfinite().all()):
        raise SurgeryError("a weight holds numbers that are not finite, so there is nothing nearest to it")
