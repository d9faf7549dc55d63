"""Zeroing the smallest magnitudes: exactly k, the threshold of kthvalue, ties by (tensor, flat index)."""

import pytest
import torch
from torch import Tensor, nn

import surgery.functions  # noqa: F401  registers what the recipes name
from surgery.lazy import Held, Reduction, recipe
from surgery.recipes import compute


def held(*tensors: Tensor) -> list[Held]:
    """The tensors as a plan sees them."""
    return [Held.of(nn.Parameter(tensor)) for tensor in tensors]


def smallest(inputs: list[Held], k: int) -> Reduction:
    """The reduction that finds the k smallest of all inputs."""
    return Reduction(
        function="smallest_magnitudes",
        inputs=tuple(inputs),
        shape=(1 + len(inputs),),
        dtype=torch.int64,
        arguments={"k": k, "bits": bits_of(inputs)},
    )


def bits_of(inputs: list[Held]) -> int:
    """The width in which the inputs are ranked."""
    return 64 if any(item.dtype == torch.float64 for item in inputs) else 32


def thinned(tensors: list[Tensor], k: int) -> list[Tensor]:
    """The tensors after the k smallest of all together were zeroed."""
    inputs = held(*tensors)
    found = smallest(inputs, k)
    memo: dict[int, Tensor] = {}
    made = [
        recipe("zero_smallest", item, found, index=index, bits=bits_of(inputs))
        for index, item in enumerate(inputs)
    ]
    return [compute(item, memo) for item in made]


def values(kind: str, dtype: torch.dtype) -> Tensor:
    """Four thousand weights without zeros: all different, many equal, or all equal."""
    generator = torch.Generator().manual_seed(1)
    if kind == "random":
        drawn = torch.randn(40, 100, generator=generator)
        return torch.where(drawn == 0, 1.0, drawn).to(dtype)
    if kind == "tied":
        sign = torch.randint(2, (40, 100), generator=generator) * 2 - 1
        return (torch.randint(1, 5, (40, 100), generator=generator) * sign).to(dtype) / 8
    return torch.full((40, 100), -0.375, dtype=dtype)


DTYPES = [torch.float32, torch.bfloat16, torch.float64]
KINDS = ["random", "tied", "equal"]
COUNTS = [1, 2, 1333, 2000, 3999, 4000]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", COUNTS)
def test_exactly_k_are_zero_and_the_rest_keep_their_bits(kind: str, dtype: torch.dtype, k: int) -> None:
    """However many weights equal the threshold, k are zeroed, and no other bit changes."""
    weight = values(kind, dtype)
    (result,) = thinned([weight], k)
    zeroed = result == 0
    assert int(zeroed.sum()) == k
    assert torch.equal(result[~zeroed], weight[~zeroed])
    assert result.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", COUNTS)
def test_threshold_is_that_of_kthvalue(kind: str, dtype: torch.dtype, k: int) -> None:
    """The first element of the reduction is the k-th smallest magnitude, as bits of float32 or float64."""
    weight = values(kind, dtype)
    found = compute(smallest(held(weight), k), {})
    wide, bits = (torch.float64, torch.int64) if dtype == torch.float64 else (torch.float32, torch.int32)
    threshold = found[0].to(bits).view(wide)
    assert threshold == torch.kthvalue(weight.to(wide).abs().flatten(), k).values


@pytest.mark.parametrize("k", COUNTS)
def test_elements_at_the_threshold_go_by_flat_index(k: int) -> None:
    """The k zeroed are the first k of a stable sort by magnitude."""
    weight = values("tied", torch.float32)
    (result,) = thinned([weight], k)
    expected = torch.sort(weight.abs().flatten(), stable=True).indices[:k].sort().values
    assert torch.equal((result == 0).flatten().nonzero().flatten(), expected)


@pytest.mark.parametrize("k", [1, 7, 40, 100, 129])
def test_several_tensors_share_one_threshold_in_their_order(k: int) -> None:
    """Over tensors of unlike shapes it is a stable sort of all, laid end to end in the order given."""
    generator = torch.Generator().manual_seed(2)
    shapes = [(5, 6), (1, 1), (33, 2), (4, 2, 4)]
    tensors = [torch.randint(1, 4, shape, generator=generator).float() for shape in shapes]
    together = torch.cat([tensor.flatten() for tensor in tensors])
    expected = together.clone()
    expected[torch.sort(together.abs(), stable=True).indices[:k]] = 0
    assert torch.equal(torch.cat([item.flatten() for item in thinned(tensors, k)]), expected)


def test_the_order_of_the_tensors_decides_where_all_are_equal() -> None:
    """Of two equal tensors the first gives its elements first."""
    ones = [torch.ones(3, 2), torch.ones(2, 2)]
    first, second = thinned(ones, 7)
    assert first.count_nonzero() == 0
    assert second.flatten().tolist() == [0, 1, 1, 1]


def test_float64_is_ranked_as_float64() -> None:
    """Of two weights that float32 cannot tell apart the smaller one goes, though it comes second."""
    (result,) = thinned([torch.tensor([[1 + 1e-12, 1.0]], dtype=torch.float64)], 1)
    assert result.tolist() == [[1 + 1e-12, 0.0]]


def test_zeros_that_are_there_count_among_the_k() -> None:
    """A weight that is zero already, of either sign, is among the smallest."""
    (result,) = thinned([torch.tensor([[3.0, 0.0, -0.0], [2.0, 1.0, -4.0]])], 3)
    assert result.tolist() == [[3, 0, 0], [2, 0, -4]]


def test_not_a_number_is_never_taken_for_small() -> None:
    """NaN and infinity sort above every number."""
    (result,) = thinned([torch.tensor([[float("nan"), 5.0], [float("-inf"), -6.0]])], 2)
    assert result.isnan().tolist() == [[True, False], [False, False]]
    assert result.flatten()[1:].tolist() == [0, float("-inf"), 0]


def test_a_weight_that_is_a_view_is_read_by_its_own_order() -> None:
    """A transposed weight ranks by its rows and columns, not by where its elements lie in storage."""
    weight = torch.ones(2, 3).T
    (result,) = thinned([weight], 2)
    assert result.tolist() == [[0, 0], [1, 1], [1, 1]]
    assert result.is_contiguous()
