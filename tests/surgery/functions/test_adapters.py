"""What adapters add to weights, and several low-rank products as one, against products written out."""

from __future__ import annotations

import pytest
import torch

import surgery.functions  # noqa: F401  registers what the recipes name
from surgery.lazy import Known, recipe
from surgery.recipes import compute
from tests.surgery.functions.test_arithmetic import held


def drawn(*shape: int, seed: int) -> torch.Tensor:
    """Random values in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("transposed", [False, True])
def test_fold_adds_the_scaled_product(transposed: bool) -> None:
    """W + scale · B A, and its transpose where weights are stored as inputs × outputs."""
    weight, down, up = torch.zeros(3, 2), torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0], [10.0], [100.0]])
    slot = weight.T.contiguous() if transposed else weight
    made = recipe("fold_low_rank", *held(slot, down, up), scale=0.5, transposed=transposed)
    expected = torch.tensor([[0.5, 1.0], [5.0, 10.0], [50.0, 100.0]])
    assert torch.equal(compute(made, {}), expected.T if transposed else expected)


def test_a_convolution_gets_the_product_of_both() -> None:
    """W[o, i, k] + scale · Σ B[o, r] A[r, i, k]."""
    weight, down, up = drawn(3, 2, 5, 4, seed=0), drawn(2, 2, 5, 4, seed=1), drawn(3, 2, 1, 1, seed=2)
    made = compute(recipe("fold_low_rank_conv", *held(weight, down, up), scale=0.5), {})
    expected = weight + 0.5 * torch.einsum("or,rikl->oikl", up[:, :, 0, 0], down)
    assert torch.allclose(made, expected)


@pytest.mark.parametrize("transposed", [False, True])
def test_lengths_are_those_of_outputs(transposed: bool) -> None:
    """One for each output, over its inputs."""
    weight = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    (slot,) = held(weight.T.contiguous() if transposed else weight)
    made = compute(recipe("output_lengths", slot, shape=(2,), transposed=transposed), {})
    assert made.tolist() == [5.0, 2.0]


def test_factors_go_along_a_dimension() -> None:
    """Rows or columns, each times its own number."""
    tensor, factors = torch.ones(2, 3), torch.tensor([1.0, 2.0, 4.0])
    made = compute(recipe("times_along", *held(tensor, factors), dim=1), {})
    assert made.tolist() == [[1.0, 2.0, 4.0]] * 2


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_a_cut_product_is_the_nearest_of_its_rank(rank: int) -> None:
    """Both factors give the truncated SVD of Σ wᵢ Bᵢ Aᵢ, as it is of the whole product."""
    downs, ups = [drawn(2, 8, seed=1), drawn(3, 8, seed=2)], [drawn(7, 2, seed=3), drawn(7, 3, seed=4)]
    weights = (0.7, -2.0)
    whole = sum(weight * up @ down for weight, up, down in zip(weights, ups, downs, strict=True))
    u, values, v = torch.linalg.svd(torch.as_tensor(whole), full_matrices=False)
    nearest = u[:, :rank] * values[:rank] @ v[:rank]
    factors = held(downs[0], ups[0], downs[1], ups[1])
    fields = {"weights": weights, "rank": rank}
    down = compute(recipe("truncated_product", *factors, shape=(rank, 8), side="down", **fields), {})  # type: ignore[arg-type]
    up = compute(recipe("truncated_product", *factors, shape=(7, rank), side="up", **fields), {})  # type: ignore[arg-type]
    assert torch.allclose(up @ down, nearest)


def test_stacked_factors_are_the_sum() -> None:
    """One above the other and side by side, weighed on one side, they multiply to the weighed sum."""
    downs, ups = [drawn(2, 4, seed=1), drawn(3, 4, seed=2)], [drawn(5, 2, seed=3), drawn(5, 3, seed=4)]
    known = [Known(shape=tuple(item.shape), dtype=item.dtype, tensor=item) for item in (*downs, *ups)]
    down = compute(recipe("stacked_factors", *known[:2], shape=(5, 4), weights=(0.5, 3.0), dim=0), {})
    up = compute(recipe("stacked_factors", *known[2:], shape=(5, 5), weights=(1.0, 1.0), dim=1), {})
    assert torch.allclose(up @ down, 0.5 * ups[0] @ downs[0] + 3 * ups[1] @ downs[1])
