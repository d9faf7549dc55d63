"""Orders by weights: the best of all for one group, never worse from turn to turn, exact for a copy."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import nn

from surgery.alignment.counterpart import Counterpart, Meeting
from surgery.alignment.groups import groups
from surgery.alignment.matching import Pair, as_they_are, likeness, match, objective
from surgery.model import Patient
from tests.surgery.contract import MODELS
from tests.zoo.channels import CHANNELS


def pairs_of(name: str, seed: int) -> tuple[Counterpart, list[Pair]]:
    """The groups of a model, and its tensors beside others that were drawn."""
    model, inputs = (MODELS | CHANNELS)[name]()
    patient = Patient(model, inputs)
    found, drawn = Counterpart.alike(patient, groups(patient)), torch.Generator().manual_seed(seed)
    pairs = [
        Pair(
            tensor.detach(),
            torch.randn(tensor.shape, generator=drawn),
            found.meet(patient.sites()[id(tensor)]),
        )
        for tensor in model.parameters()
    ]
    return found, pairs


def test_one_group_gets_the_best_of_all_orders() -> None:
    """Of 5 neurons all 120 orders were tried, with the sum written out."""
    torch.manual_seed(0)
    mine, theirs = (nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)) for _ in range(2))
    patient = Patient(mine, (torch.randn(1, 3),))
    found = Counterpart.alike(patient, groups(patient))
    tensors = [each.detach() for each in mine.parameters()], [each.detach() for each in theirs.parameters()]
    names = [name for name, _ in mine.named_parameters()]
    pairs = [Pair(a, b, found.meet([name])) for a, b, name in zip(*tensors, names, strict=True)]
    result = match(found, pairs, 0)
    (into, bias, out, last), (into_b, bias_b, out_b, last_b) = tensors

    def by_hand(order: list[int]) -> float:
        return float(
            (into * into_b[order]).sum()
            + (bias * bias_b[order]).sum()
            + (out * out_b[:, order]).sum()
            + (last * last_b).sum()
        )

    best = max((list(order) for order in permutations(range(5))), key=by_hand)
    assert result.plans["0"].tolist() == best
    assert result.climb[-1] == pytest.approx(by_hand(best), rel=1e-5)


@pytest.mark.parametrize("name", ["llama", "resnet18", "reused", "densenet", "halves"])
def test_the_sum_never_falls(name: str) -> None:
    """Each turn gains; where it ends is what the orders give, and no worse than where nothing moved."""
    found, pairs = pairs_of(name, 1)
    result = match(found, pairs, 0)
    assert list(result.climb) == sorted(result.climb)
    assert result.climb[-1] == pytest.approx(objective(pairs, result.plans), rel=1e-9)
    assert result.climb[-1] > objective(pairs, as_they_are(found))
    assert match(found, pairs, 0).plans.keys() == result.plans.keys()


def test_likeness_is_a_cosine() -> None:
    """Against torch's own, of rows that are written out."""
    a, b = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    group = groups(Patient(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)), (torch.randn(1, 3),)))[0]
    item = Pair(a, b, {0: (Meeting(group, group.cuts[0], group.cuts[0], 4, False),)})
    order = torch.tensor([2, 0, 3, 1])
    expected = torch.cosine_similarity(a, b[order], dim=1)
    assert torch.allclose(likeness(group, [item], {group.name: order}), expected)
