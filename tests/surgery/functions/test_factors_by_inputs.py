"""Factors that keep what a matrix gives on inputs, beside the whitened decomposition as it is defined."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from surgery.factors.spectra import energies_of, energies_seen
from surgery.functions.factors import inward_factor, narrow_factor, outward_factor, wide_factor

SHAPES = [(6, 9), (9, 6), (7, 7), (1, 5), (5, 1)]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gram_of(width: int) -> Tensor:
    """Of inputs that hang on each other, some of them far larger than others."""
    inputs = drawn(200, width, seed=1) @ drawn(width, width, seed=2) * torch.logspace(-2, 1, width)
    return inputs.T @ inputs


def whitened(weight: Tensor, gram: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """U, σ, Vᵀ of W S and S⁻¹, S being the symmetric root of the Gram."""
    values, vectors = torch.linalg.eigh(gram)
    root = (vectors * values.sqrt()) @ vectors.T
    return *torch.linalg.svd(weight @ root, full_matrices=False), torch.linalg.inv(root)


def product(
    weight: Tensor, gram: Tensor, rank: int, *, ridge: float = 0.0, transposed: bool = False
) -> Tensor:
    """B A, in float64."""
    up = outward_factor(weight, gram, rank=rank, ridge=ridge, transposed=transposed)
    down = inward_factor(weight, up, transposed=transposed)
    assert up.dtype == down.dtype == weight.dtype
    return up.double() @ down.double()


def plain(weight: Tensor, rank: int) -> Tensor:
    """The nearest of a rank by the sum of squared errors."""
    left, sizes, right = torch.linalg.svd(weight, full_matrices=False)
    return (left[:, :rank] * sizes[:rank]) @ right[:rank]


def lost(weight: Tensor, made: Tensor, gram: Tensor) -> Tensor:
    """Σ ‖(W − W′) x‖²."""
    return (((weight - made) @ gram) * (weight - made)).sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_product_is_the_truncated_whitened_matrix(shape: tuple[int, int]) -> None:
    """Multiplied back by S⁻¹; what its outputs lose is the tail of σ², and no more than the plain one's."""
    weight, gram = drawn(*shape), gram_of(shape[1])
    left, sizes, right, back = whitened(weight, gram)
    scale = float(sizes[0]) ** 2
    for rank in range(1, min(shape) + 1):
        made = product(weight, gram, rank)
        expected = (left[:, :rank] * sizes[:rank]) @ right[:rank] @ back
        assert torch.allclose(made, expected, atol=1e-9, rtol=1e-9)
        loss = lost(weight, made, gram)
        assert torch.allclose(loss, sizes[rank:].square().sum(), atol=1e-11 * scale, rtol=1e-9)
        assert loss <= lost(weight, plain(weight, rank), gram) + 1e-11 * scale
    found = energies_seen(weight, gram, 0.0, transposed=False)
    assert torch.allclose(found, sizes.square(), atol=1e-12 * scale, rtol=1e-9)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_a_cholesky_factor_for_the_root_comes_to_the_same(shape: tuple[int, int]) -> None:
    """As SVD-LLM has it: any S with S Sᵀ = G does. The ridge is part of the mean of G's diagonal."""
    weight, gram = drawn(*shape), gram_of(shape[1])
    ridge = 0.05 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    root = torch.linalg.cholesky(gram + ridge)
    left, sizes, right = torch.linalg.svd(weight @ root, full_matrices=False)
    expected = (left[:, :4] * sizes[:4]) @ right[:4] @ torch.linalg.inv(root)
    assert torch.allclose(product(weight, gram, 4, ridge=0.05), expected, atol=1e-9)
    found = energies_seen(weight, gram, 0.05, transposed=False)
    assert torch.allclose(found, sizes.square(), rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_inputs_that_are_all_alike_give_the_plain_factors(shape: tuple[int, int]) -> None:
    """With G = 1 the product, the scale of both factors, and the energies are those of the weights."""
    weight, one = drawn(*shape), torch.eye(shape[1], dtype=torch.float64)
    for rank in range(1, min(shape) + 1):
        assert torch.allclose(product(weight, one, rank), plain(weight, rank), atol=1e-12)
    rank = min(shape)
    up = outward_factor(weight, one, rank=rank, ridge=0.0, transposed=False)
    narrow = narrow_factor(weight, rank=rank, transposed=False)
    wide = wide_factor(weight, narrow, transposed=False)
    other = wide if shape[0] > shape[1] else narrow
    assert torch.allclose(up.norm(dim=0), other.norm(dim=0), atol=1e-12)
    assert torch.allclose(energies_seen(weight, one, 0.0, transposed=False), energies_of(weight))


@pytest.mark.parametrize("shape", SHAPES)
def test_full_rank_is_the_weight_whatever_the_inputs(shape: tuple[int, int]) -> None:
    """In float32 within 1e-6 of its norm, though G all but has no inverse; both factors weigh the same."""
    weight = drawn(*shape).float()
    inputs = drawn(300, shape[1], seed=1) * torch.logspace(-7, 3, shape[1])
    gram = (inputs.T @ inputs).float()
    made = product(weight, gram, min(shape))
    assert float((made - weight).norm() / weight.norm()) < 1e-6
    up = outward_factor(weight, gram, rank=min(shape), ridge=0.0, transposed=False)
    down = inward_factor(weight, up, transposed=False)
    assert torch.allclose(up.norm(dim=0), down.norm(dim=1), rtol=1e-4)


@pytest.mark.parametrize("shape", [(8, 12), (12, 8)])
def test_fewer_tokens_than_inputs_lose_nothing_at_so_many_ranks(shape: tuple[int, int]) -> None:
    """A Gram without inverse needs no ridge: three vectors are given back exactly at rank 3."""
    weight, inputs = drawn(*shape), drawn(3, shape[1], seed=3)
    gram = inputs.T @ inputs
    assert float(lost(weight, product(weight, gram, 3), gram)) < 1e-20 * float(gram.trace())
    assert float(lost(weight, product(weight, gram, 2), gram)) > 0.01
    sizes = torch.linalg.svdvals(weight @ inputs.T)
    assert torch.allclose(energies_seen(weight, gram, 0.0, transposed=False)[:3], sizes.square())


@pytest.mark.parametrize("shape", [(8, 12), (12, 8)])
def test_a_large_ridge_drowns_the_inputs(shape: tuple[int, int]) -> None:
    """It comes to the plain one, as do inputs that are all zero."""
    weight, gram = drawn(*shape), gram_of(shape[1])
    assert torch.allclose(product(weight, gram, 3, ridge=1e9), plain(weight, 3), atol=1e-6)
    assert torch.allclose(product(weight, torch.zeros_like(gram), 3), plain(weight, 3), atol=1e-12)
    assert not torch.allclose(product(weight, gram, 3, ridge=0.01), plain(weight, 3), atol=1e-2)


@pytest.mark.parametrize("shape", [(8, 12), (12, 8)])
def test_a_transposed_weight_has_the_same_factors(shape: tuple[int, int]) -> None:
    """Conv1D stores inputs × outputs; the spectrum is the same to the bit too."""
    weight, gram = drawn(*shape), gram_of(shape[1])
    turned = weight.T.contiguous()
    assert torch.equal(product(weight, gram, 3), product(turned, gram, 3, transposed=True))
    spectra = [energies_seen(w, gram, 0.1, transposed=t) for w, t in ((weight, False), (turned, True))]
    assert torch.equal(*spectra)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4)])
def test_directions_without_energy_are_zero_and_no_nan(shape: tuple[int, int]) -> None:
    """Of a matrix of zeros, and of one of rank 1; of no numbers all is NaN."""
    gram = gram_of(shape[1])
    rank_one = torch.outer(torch.arange(1.0, shape[0] + 1), torch.arange(1.0, shape[1] + 1))
    for weight in (torch.zeros(shape), rank_one):
        made = product(weight, gram, 4)
        assert torch.isfinite(made).all() and torch.allclose(made.float(), weight, atol=1e-3)
    nan = torch.full(shape, torch.nan)
    assert energies_seen(nan, gram, 0.1, transposed=False).isnan().all()
    assert product(nan, gram, 2).isnan().all()
