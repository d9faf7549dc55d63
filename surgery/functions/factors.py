"""Recipe functions that make the factors of a matrix: the best of a rank by the sum of squared errors.

Of the weights, or of the outputs on inputs whose Gram G = S Sᵀ is known: then W S = U Σ Vᵀ is cut down and
multiplied by S⁻¹ (SVD-LLM, Wang et al. 2024, arXiv:2403.07378). That comes to Uᵣ Uᵣᵀ W, so that neither S nor
an inverse has to be found, and no Gram is too singular.

The factors come from the eigenvectors of W Wᵀ or Wᵀ W, whichever is smaller, in float64. These are
orthonormal to rounding however close the eigenvalues lie, and the second factor is a projection of W itself,
so nothing is lost by the squaring but directions below 1e-8 of the largest. Source: Eckart and Young 1936.
"""

from __future__ import annotations

import torch

from surgery.recipes import function

_WORKSPACE = 48  # float64: the matrix, its Gram matrix, eigenvectors, and twice those for LAPACK
_WORKSPACE_SEEN = 96  # the Gram of the inputs, Q, R and their products too


@function(tiling="whole", workspace=_WORKSPACE)
def narrow_factor(weight: torch.Tensor, *, rank: int, transposed: bool) -> torch.Tensor:
    """The factor on the narrower side of W (outputs × inputs), which is Wᵀ as stored if `transposed`.

    B = U √Σ (outputs × rank) where W has no more outputs than inputs, else A = √Σ Vᵀ (rank × inputs); in the
    dtype of W, and with its sides of length 1 behind. The largest entry of each vector is positive.
    """
    matrix = _matrix(weight, transposed)
    tall = matrix.shape[0] > matrix.shape[1]
    vectors, energies = leading(gram(matrix.T if tall else matrix), rank)
    factor = vectors * energies.sqrt().sqrt()
    return _like(factor.T if tall else factor, weight)


@function(tiling="whole", workspace=_WORKSPACE)
def wide_factor(weight: torch.Tensor, narrow: torch.Tensor, *, transposed: bool) -> torch.Tensor:
    """The factor beside that of `narrow_factor` as it is stored: A = Σ^-½ Uᵀ W, or B = W V Σ^-½."""
    matrix, factor = _matrix(weight, transposed), narrow.flatten(1).to(torch.float64)
    if matrix.shape[0] > matrix.shape[1]:
        return _like(matrix @ (factor / _nonzero(factor.square().sum(1, keepdim=True))).T, weight)
    return _like((factor / _nonzero(factor.square().sum(0, keepdim=True))).T @ matrix, weight)


@function(tiling="whole", workspace=_WORKSPACE_SEEN)
def outward_factor(
    weight: torch.Tensor, seen: torch.Tensor, *, rank: int, ridge: float, transposed: bool
) -> torch.Tensor:
    """B (outputs × rank) of the B A for which Σ ‖(W − B A) x‖² is least; `seen` is Σ x xᵀ (inputs × inputs).

    `ridge` times the mean of its diagonal is added to that. W as in `narrow_factor`. Of W S = U Σ Vᵀ these
    are the first columns of U, each so long that A, which `inward_factor` makes, has a row as long.
    """
    matrix = _matrix(weight, transposed)
    basis, square = output_gram(matrix, seen.to(matrix.device), ridge)
    vectors = leading(square, rank)[0]
    vectors = vectors if basis is None else basis @ vectors
    return _like(vectors * (matrix.T @ vectors).norm(dim=0).sqrt(), weight)


@function(tiling="whole", workspace=_WORKSPACE)
def inward_factor(weight: torch.Tensor, outward: torch.Tensor, *, transposed: bool) -> torch.Tensor:
    """A (rank × inputs) beside the B of `outward_factor` as it is stored: (Bᵀ B)⁻¹ Bᵀ W."""
    matrix, factor = _matrix(weight, transposed), outward.flatten(1).to(torch.float64)
    return _like((factor / _nonzero(factor.square().sum(0, keepdim=True))).T @ matrix, weight)


def output_gram(
    matrix: torch.Tensor, seen: torch.Tensor, ridge: float
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """W (G + ridge) Wᵀ of W (outputs × inputs) float64, in a basis of columns; None for that of the outputs.

    There are no more columns than inputs. All NaN where W is no matrix of numbers.
    """
    inner = seen.to(torch.float64)
    mean = inner.diagonal().mean()
    inner = inner + torch.diag(torch.where(mean > 0, ridge * mean, 1.0).expand(len(inner)))
    if matrix.shape[0] <= matrix.shape[1]:
        return None, matrix @ inner @ matrix.T
    if not torch.isfinite(matrix).all():
        return matrix, torch.full_like(inner, torch.nan)
    basis, rest = torch.linalg.qr(matrix)
    return basis, rest @ inner @ rest.T


def gram(matrix: torch.Tensor) -> torch.Tensor:
    """M Mᵀ in float64, of as many sides as M has rows."""
    wide = matrix.to(torch.float64)
    return wide @ wide.T


def leading(square: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `count` eigenvectors of a Gram matrix as columns, and their eigenvalues, largest first.

    All are NaN where the matrix is no matrix of numbers.
    """
    if not torch.isfinite(square).all():
        return square.new_full((len(square), count), torch.nan), square.new_full((count,), torch.nan)
    values, vectors = torch.linalg.eigh(square)
    chosen = vectors.flip(1)[:, :count]
    places = chosen.abs().argmax(0, keepdim=True)
    signs = torch.where(chosen.gather(0, places) < 0, -1.0, 1.0).to(chosen.dtype)
    return chosen * signs, values.flip(0)[:count].clamp(min=0.0)


def _matrix(weight: torch.Tensor, transposed: bool) -> torch.Tensor:
    """W as outputs × inputs in float64, laid out row by row: how it lies changes the bits of products."""
    matrix = weight.flatten(1)
    return (matrix.T if transposed else matrix).to(torch.float64).contiguous()


def _like(factor: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The factor in the dtype of the weight, with as many sides."""
    return factor.reshape(*factor.shape, *weight.shape[2:]).to(weight.dtype)


def _nonzero(values: torch.Tensor) -> torch.Tensor:
    """One where it is zero: a direction without energy is a factor of zeros, and stays one."""
    return torch.where(values == 0, 1.0, values)
