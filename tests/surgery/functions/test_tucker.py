"""The Tucker factors of a convolution's weight, beside a plain reference."""

from __future__ import annotations

import pytest
import torch

from surgery.functions.tucker import tucker_core, tucker_inputs, tucker_outputs, unfolded

SHAPE = (6, 5, 3, 2)


def weight(seed: int = 0) -> torch.Tensor:
    """Drawn in float64."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPE, generator=drawn, dtype=torch.float64)


def factors(
    tensor: torch.Tensor, ranks: tuple[int, int], rounds: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U (outputs × r), Vᵀ (s × inputs) and the core."""
    outputs = tucker_outputs(tensor, ranks=ranks, rounds=rounds)
    inputs = tucker_inputs(tensor, outputs, rank=ranks[1])
    return outputs.flatten(1), inputs.flatten(1), tucker_core(tensor, outputs, inputs)


def product(outputs: torch.Tensor, inputs: torch.Tensor, core: torch.Tensor) -> torch.Tensor:
    """What the three convolutions are as one."""
    return torch.einsum("or,rshw,si->oihw", outputs, core, inputs)


def reference(tensor: torch.Tensor, ranks: tuple[int, int], rounds: int) -> torch.Tensor:
    """The same by singular value decompositions and sums, written out."""
    outputs = torch.linalg.svd(tensor.flatten(1), full_matrices=False)[0][:, : ranks[0]]
    for turn in range(rounds + 1):
        taken = torch.einsum("oihw,or->irhw", tensor, outputs)
        inputs = torch.linalg.svd(taken.flatten(1), full_matrices=False)[0][:, : ranks[1]]
        if turn < rounds:
            taken = torch.einsum("oihw,is->oshw", tensor, inputs)
            outputs = torch.linalg.svd(taken.flatten(1), full_matrices=False)[0][:, : ranks[0]]
    core = torch.einsum("oihw,or,is->rshw", tensor, outputs, inputs)
    return torch.einsum("rshw,or,is->oihw", core, outputs, inputs)


@pytest.mark.parametrize("rounds", [0, 1, 3])
@pytest.mark.parametrize("ranks", [(3, 2), (1, 1), (6, 2), (2, 5)])
def test_the_product_is_that_of_a_plain_reference(ranks: tuple[int, int], rounds: int) -> None:
    """Whatever the signs of the vectors."""
    made = product(*factors(weight(), ranks, rounds))
    assert torch.allclose(made, reference(weight(), ranks, rounds), atol=1e-12, rtol=0)


def test_full_ranks_reproduce_the_weight() -> None:
    """To 1e-12 in float64."""
    made = product(*factors(weight(), (6, 5), 0))
    assert (made - weight()).abs().max() < 1e-12


def test_rounds_never_make_it_worse() -> None:
    """Each is the best for the other's factor; and for some weights they make it better."""
    better = 0
    for seed in range(8):
        errors = [
            float((weight(seed) - product(*factors(weight(seed), (3, 2), rounds))).square().sum())
            for rounds in range(5)
        ]
        assert all(one >= two - 1e-12 for one, two in zip(errors, errors[1:], strict=False))
        better += errors[0] > errors[4] + 1e-3
    assert better > 4


def test_the_factors_are_orthonormal_and_the_error_is_what_the_core_lacks() -> None:
    """‖W − Ŵ‖² = ‖W‖² − ‖core‖²."""
    outputs, inputs, core = factors(weight(), (3, 2), 2)
    assert torch.allclose(outputs.T @ outputs, torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(inputs @ inputs.T, torch.eye(2, dtype=torch.float64), atol=1e-12)
    error = (weight() - product(outputs, inputs, core)).square().sum()
    assert torch.allclose(error, weight().square().sum() - core.square().sum(), atol=1e-10)


def test_a_weight_of_low_rank_is_found_again() -> None:
    """One that is such a product to begin with, in the dtype it has."""
    made = product(*factors(weight(), (3, 2), 0)).float()
    again = product(*factors(made, (3, 2), 1))
    assert again.dtype == torch.float32 and torch.allclose(again, made, atol=1e-5)


def test_how_a_weight_lies_changes_no_bit() -> None:
    """In memory it may lie channels last, in a file it does not."""
    one = tucker_outputs(weight(), ranks=(3, 2), rounds=2)
    other = tucker_outputs(weight().contiguous(memory_format=torch.channels_last), ranks=(3, 2), rounds=2)
    assert torch.equal(one, other)


def test_unfolding_has_a_row_for_each_place() -> None:
    """Along inputs, row 1 is all that input 1 has."""
    assert torch.equal(unfolded(weight(), 1)[1], weight()[:, 1].flatten())
