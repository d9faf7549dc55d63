"""Ranks by energy and under a budget."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from surgery.factors.spreading import Sides, least, ranks_of_energy, ranks_of_size


def spectra(count: int, length: int, seed: int) -> list[torch.Tensor]:
    """Energies that fall, of layers of very different scale."""
    drawn = torch.Generator().manual_seed(seed)
    found = []
    for place in range(count):
        energies = torch.rand(length, generator=drawn, dtype=torch.float64).sort(descending=True).values
        found.append(energies * 3.0**place)
    return found


def error(energies: list[torch.Tensor], ranks: list[int]) -> float:
    """The sum of squared errors: what each layer leaves out."""
    return sum(float(energy[rank:].sum()) for energy, rank in zip(energies, ranks, strict=True))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", [120, 135, 240, 400, 599])
def test_one_threshold_is_the_best_there_is_where_ranks_cost_the_same(seed: int, budget: int) -> None:
    """Its error is the least of all ranks that fit the budget, tried one by one."""
    layers = [Sides(20, 20), Sides(25, 15), Sides(15, 25)]
    energies = spectra(3, 5, seed)
    ranks = ranks_of_size(layers, energies, budget)
    fitting = [tried for tried in product(range(1, 6), repeat=3) if 40 * sum(tried) <= budget]
    assert 40 * sum(ranks) <= budget
    assert error(energies, ranks) == pytest.approx(min(error(energies, list(tried)) for tried in fitting))


def test_of_equal_energies_those_of_the_first_layer_are_kept() -> None:
    """The order never hangs on anything but the layers'."""
    flat = torch.ones(4, dtype=torch.float64)
    assert ranks_of_size([Sides(9, 9)] * 2, [flat, flat], 18 * 5) == [4, 1]


def test_a_rank_that_costs_less_per_energy_comes_first() -> None:
    """Of two layers with one spectrum the smaller one is given more."""
    energy = torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)
    ranks = ranks_of_size([Sides(40, 40), Sides(12, 12)], [energy, energy], 80 + 24 * 4)
    assert ranks == [1, 4]


def test_a_layer_that_costs_what_it_has_whole_gets_its_other_ranks_for_nothing() -> None:
    """6 × 6 has 36 parameters, which rank 3 costs too: from there on it stays whole."""
    layer = Sides(6, 6)
    assert layer.most == 2 and layer.parameters(2) == 24 and layer.parameters(5) == 36
    assert ranks_of_size([layer], [torch.ones(6, dtype=torch.float64)], 36) == [6]
    assert ranks_of_size([layer], [torch.ones(6, dtype=torch.float64)], 35) == [2]


def test_directions_without_energy_are_not_bought() -> None:
    """A matrix of rank 2 gets no third rank, whatever the budget."""
    energy = torch.tensor([3.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    assert ranks_of_size([Sides(20, 20)], [energy], 400) == [2]


def test_the_largest_rank_is_the_last_that_saves_anything() -> None:
    """Two thin layers of it are smaller than the layer, of one more they are not."""
    for sides in (Sides(6, 6), Sides(7, 3), Sides(1, 9), Sides(64, 4096)):
        assert sides.most * sides.per_rank < sides.whole <= (sides.most + 1) * sides.per_rank


def test_energy_gives_the_least_rank_that_keeps_the_part() -> None:
    """Of 8 + 4 + 2 + 1 + 1 three quarters are in two, and all of it needs all."""
    energy = torch.tensor([8.0, 4.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    assert [ranks_of_energy([energy], part)[0] for part in (0.4, 0.5, 0.75, 0.76, 1.0)] == [1, 1, 2, 3, 5]
    assert ranks_of_energy([torch.zeros(3, dtype=torch.float64)], 0.5) == [1]


def test_the_least_budget_is_rank_one_each() -> None:
    """It can be met, and one parameter less is below it."""
    layers = [Sides(5, 7), Sides(3, 3)]
    assert least(layers) == 12 + 6
    assert ranks_of_size(layers, spectra(2, 3, 0), 18) == [1, 1]
