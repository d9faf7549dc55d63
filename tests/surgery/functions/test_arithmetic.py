"""Copies and weighted sums, in the order and width they promise."""

import pytest
import torch
from torch import nn

import surgery.functions  # noqa: F401  registers what the recipes name
from surgery.lazy import Held, recipe
from surgery.recipes import compute


def held(*values: torch.Tensor) -> list[Held]:
    """The tensors as a plan sees them."""
    return [Held.of(nn.Parameter(value)) for value in values]


def summed(tensors: list[torch.Tensor], weights: tuple[float, ...]) -> torch.Tensor:
    """The weighted sum as an operation asks for it."""
    return compute(recipe("weighted_sum", *held(*tensors), weights=weights), {})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_weighted_sum_has_the_dtype_of_the_first(dtype: torch.dtype) -> None:
    """Whatever the others have, the result fits the slot of the first."""
    other = torch.float32 if dtype != torch.float32 else torch.bfloat16
    assert summed([torch.ones(3, dtype=dtype), torch.ones(3, dtype=other)], (0.5, 0.5)).dtype == dtype


def test_weighted_sum_is_made_in_float32() -> None:
    """In bf16, 256 + 1 is 256; in float32 a hundred and twenty-eight ones are not lost."""
    tensors = [torch.full((2, 2), 256.0).bfloat16(), *[torch.ones(2, 2).bfloat16()] * 128]
    assert summed(tensors, (1.0,) * 129).tolist() == [[384.0, 384.0]] * 2


def test_weighted_sum_keeps_float64() -> None:
    """A float64 tensor is not narrowed on the way."""
    tiny = torch.tensor([1e-12], dtype=torch.float64)
    assert summed([torch.ones(1, dtype=torch.float64), tiny], (1.0, 1.0)).item() == 1 + 1e-12


def test_weighted_sum_adds_from_first_to_last() -> None:
    """Float addition is not associative: (1e8 + -1e8) + 1 is 1, 1e8 + (-1e8 + 1) is 0."""
    large, one = torch.tensor([1e8]), torch.tensor([1.0])
    assert summed([large, -large, one], (1.0,) * 3).item() == 1.0
    assert summed([one, large, -large], (1.0,) * 3).item() == 0.0


def test_weighted_sum_is_the_sum_of_products() -> None:
    """Σ wᵢ θᵢ, weights taken as they are, not normalised."""
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    assert summed([a, b], (2.0, 3.0)).tolist() == [32.0, 64.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_the_mean_of_two_is_the_float32_mean_rounded(dtype: torch.dtype) -> None:
    """For every number that 16 bits can say beside some hundred of them, by themselves and all at once."""
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    every = every[torch.isfinite(every)]
    small = every[every.abs() < 1e30]  # among which no difference is without end
    for numbers in (every, small):
        largest = numbers.abs().max()
        for other in (*numbers[:: 2**9], numbers[-1], largest, -largest):
            beside = torch.full_like(numbers, other.item())
            mean = numbers.float() * 0.5 + beside.float() * 0.5
            assert torch.equal(summed([numbers, beside], (0.5, 0.5)), mean.to(dtype))


def test_the_mean_of_two_is_that_of_each_pair() -> None:
    """Whatever stands beside it, with and without end: rows may be made a few at a time."""
    large = torch.tensor([3e38, 3e38, torch.inf, 1.0], dtype=torch.bfloat16)
    other = torch.tensor([3e38, -3e38, torch.inf, 2.0], dtype=torch.bfloat16)
    together = summed([large, other], (0.5, 0.5))
    apart = torch.cat([summed([large[i : i + 1], other[i : i + 1]], (0.5, 0.5)) for i in range(4)])
    assert torch.equal(together, apart)
    assert together[1:].tolist() == [0.0, torch.inf, 1.5] and together[0] == large[0]


def test_copy_has_the_bits_and_not_the_storage() -> None:
    """A copy is equal and apart."""
    (source,) = held(torch.randn(3, 4))
    made = compute(recipe("copy", source), {})
    assert torch.equal(made, source.parameter)
    assert made.data_ptr() != source.parameter.data_ptr()
