"""Units are weighed, chosen, taken and padded as plain indexing would."""

from __future__ import annotations

import pytest
import torch

from surgery.functions.units import largest, pad_units, take_units, unit_energies

DTYPES = [torch.float32, torch.bfloat16, torch.float64, torch.int8, torch.complex128]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("kept", [[1], [0, 1], [0, 2, 3], [3, 1]], ids=str)
def test_units_between_what_stays(dtype: torch.dtype, dim: int, kept: list[int]) -> None:
    """Two sections of four units, of 2 and of 3 entries, with one entry before, between and behind them."""
    shape = [2, 3, 2]
    shape[dim] = 1 + 8 + 1 + 12 + 1
    tensor = torch.arange(torch.Size(shape).numel()).remainder(100).reshape(shape).to(dtype)
    first = [1 + 2 * unit + entry for unit in kept for entry in range(2)]
    second = [10 + 3 * unit + entry for unit in kept for entry in range(3)]
    places = torch.tensor([0, *first, 9, *second, 22])
    taken = take_units(tensor, torch.tensor(kept), count=4, dim=dim, sections=(1, 2, 10, 3))
    assert torch.equal(taken, tensor.index_select(dim, places))
    assert taken.is_contiguous() and taken.untyped_storage().nbytes() == taken.nbytes


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("kept", [[0, 1], [2, 3, 4], [5], [0, 1, 2, 4, 5]], ids=str)
def test_units_alone(size: int, dim: int, kept: list[int]) -> None:
    """Whether they are a run or not, and whether the tensor lies in order or transposed."""
    weight = torch.randn(6 * size, 6 * size).bfloat16()
    places = torch.tensor([unit * size + entry for unit in kept for entry in range(size)])
    for tensor in (weight, weight.T):
        taken = take_units(tensor, torch.tensor(kept), count=6, dim=dim, sections=(0, size))
        assert torch.equal(taken, tensor.index_select(dim, places))
        assert taken.is_contiguous()


@pytest.mark.parametrize("at_once", [1, 7, 1 << 19])
def test_energies(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Σ w² over all tensors and sections, however few elements are widened at a time."""
    monkeypatch.setattr("surgery.functions.units._AT_ONCE", at_once)
    rows, columns = torch.randn(8, 5).bfloat16(), torch.randn(3, 13).bfloat16()
    bias, stacked = torch.randn(4), torch.randn(2, 8, 3)
    expected = rows.double().square().view(4, 2, 5).sum((1, 2))
    expected += columns.double().square()[:, 1:5].sum(0)
    expected += columns.double().square()[:, 5:13].view(3, 4, 2).sum((0, 2))
    expected += bias.double().square() + stacked.double().square().view(2, 4, 2, 3).sum((0, 2, 3))
    energies = unit_energies(
        *(rows, columns, bias, stacked),
        count=4,
        dims=(0, 1, 0, 1),
        sections=(0, 2, 1, 1, 5, 2, 0, 1, 0, 2),
        lengths=(1, 2, 1, 1),
    )
    assert energies.dtype == torch.float32
    assert torch.allclose(energies.double(), expected, rtol=1e-6)


def test_energies_of_wide_tensors_are_wide() -> None:
    """What does not fit float32 is not lost."""
    tiny = torch.full((2, 3), 1e-30, dtype=torch.float64)
    energies = unit_energies(tiny, count=2, dims=(0,), sections=(0, 1), lengths=(1,))
    assert energies.dtype == torch.float64
    assert torch.allclose(energies, torch.full((2,), 3e-60, dtype=torch.float64), rtol=1e-12, atol=0)


def test_the_largest() -> None:
    """Ascending; of equal ones the first; a NaN is smaller than anything."""
    scores = torch.tensor([1.0, 3.0, float("nan"), 3.0, 0.0, 3.0, 9.0])
    assert largest(scores, keep=3).tolist() == [1, 3, 6]
    assert largest(scores, keep=6).tolist() == [0, 1, 3, 4, 5, 6]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("sections", [(1, 2, 10, 3), (10, 3, 1, 2)], ids=str)
def test_zeros_behind_each_section(dtype: torch.dtype, dim: int, sections: tuple[int, ...]) -> None:
    """What lies between and around the sections moves along, whatever their order."""
    shape = [2, 3, 2]
    shape[dim] = 1 + 8 + 1 + 12 + 1
    tensor = torch.arange(1, 1 + torch.Size(shape).numel()).remainder(100).reshape(shape).to(dtype)
    padded = pad_units(tensor, count=4, more=2, dim=dim, sections=sections)
    places = torch.tensor([*range(9), *range(13, 26), 32])
    zeros = torch.tensor([*range(9, 13), *range(26, 32)])
    assert padded.shape[dim] == 33
    assert torch.equal(padded.index_select(dim, places), tensor)
    assert not padded.index_select(dim, zeros).any()
