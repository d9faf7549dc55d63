"""The factors of a matrix, beside torch's singular value decomposition."""

from __future__ import annotations

import pytest
import torch

from surgery.functions.factors import leading, narrow_factor, wide_factor

SHAPES = [(6, 9), (9, 6), (7, 7), (1, 5), (5, 1)]


def matrix(shape: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """Drawn in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def factors(weight: torch.Tensor, rank: int, transposed: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """B (outputs × rank) and A (rank × inputs)."""
    narrow = narrow_factor(weight, rank=rank, transposed=transposed)
    wide = wide_factor(weight, narrow, transposed=transposed)
    outputs, inputs = reversed(weight.shape) if transposed else weight.shape
    return (wide, narrow) if outputs > inputs else (narrow, wide)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_product_is_the_nearest_of_its_rank(shape: tuple[int, int]) -> None:
    """It is the truncated decomposition, and its squared error is the tail of σ²."""
    weight = matrix(shape)
    left, sizes, right = torch.linalg.svd(weight, full_matrices=False)
    for rank in range(1, min(shape) + 1):
        up, down = factors(weight, rank)
        expected = (left[:, :rank] * sizes[:rank]) @ right[:rank]
        assert torch.allclose(up @ down, expected, atol=1e-12, rtol=0)
        tail = sizes[rank:].square().sum()
        assert torch.allclose((weight - up @ down).square().sum(), tail, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_both_factors_carry_the_same_scale(shape: tuple[int, int]) -> None:
    """Bᵀ B = A Aᵀ = Σ: neither of them overflows where the other underflows."""
    weight = matrix(shape) * 1e3
    up, down = factors(weight, min(shape))
    sizes = torch.linalg.svdvals(weight).diag()
    assert torch.allclose(up.T @ up, sizes, rtol=1e-10, atol=1e-8)
    assert torch.allclose(down @ down.T, sizes, rtol=1e-10, atol=1e-8)


def test_a_transposed_weight_has_the_same_factors() -> None:
    """Conv1D stores inputs × outputs."""
    weight = matrix((6, 9))
    for mine, other in zip(factors(weight, 3), factors(weight.T.contiguous(), 3, True), strict=True):
        assert torch.equal(mine, other)


def test_directions_without_energy_are_zero_and_no_nan() -> None:
    """Of a matrix of zeros, and of one of rank 1."""
    for weight in (torch.zeros(4, 6), torch.outer(torch.arange(1.0, 5), torch.arange(1.0, 7))):
        up, down = factors(weight, 4)
        assert torch.isfinite(up).all() and torch.isfinite(down).all()
        assert torch.allclose(up @ down, weight, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_factors_have_the_dtype_of_the_weight(dtype: torch.dtype) -> None:
    """They are made in float64 and rounded once; the product is as near as the dtype allows."""
    weight = matrix((8, 12)).to(dtype)
    up, down = factors(weight, 8)
    assert up.dtype == down.dtype == dtype
    difference = (up.double() @ down.double() - weight.double()).abs().max()
    assert difference < 8 * torch.finfo(dtype).eps * float(weight.double().abs().max())


def test_the_largest_entry_of_each_vector_is_positive() -> None:
    """So a library that turns a vector round makes the same factors."""
    vectors, _ = leading(matrix((9, 9)) @ matrix((9, 9)).T, 5)
    assert (vectors.gather(0, vectors.abs().argmax(0, keepdim=True)) > 0).all()
