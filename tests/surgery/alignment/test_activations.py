"""Units matched by what they hold on data: a permuted copy is recovered, correlations are those of numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.alignment.activations import correlations
from surgery.alignment.counterpart import Counterpart
from surgery.alignment.groups import groups
from surgery.model import Patient
from tests.surgery.alignment.test_rebasin import BOTH, ZOO, permuted


def more(inputs: Any) -> Any:
    """96 examples of the shape of these, drawn."""
    if isinstance(inputs, dict):
        return {name: more(value) for name, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(map(more, inputs))
    drawn, shape = torch.Generator().manual_seed(0), (96, *inputs.shape[1:])
    if inputs.is_floating_point():
        return torch.randn(shape, generator=drawn)
    return torch.randint(int(inputs.max()) + 1, shape, generator=drawn)


def alike(model: nn.Module, data: torch.Tensor) -> Counterpart:
    """The units of a model beside those of one that is as wide."""
    patient = Patient(model, (data,))
    return Counterpart.alike(patient, groups(patient))


@pytest.mark.parametrize("name", ["gpt2", "resnet18", "vit", "unet", "encoder"])
def test_a_permuted_copy_is_recovered(name: str, tmp_path: Path) -> None:
    """Data say which unit is which, of dead ones weights: the mean with a permuted copy is the model."""
    parent = permuted(name, tmp_path)
    model, inputs = ZOO[name]()
    session = surgery.open(model, inputs)
    session.data = [more(inputs)]
    before = session.fingerprint()
    session.rebasin(parents=[parent], by="activations", **BOTH)
    assert session.fingerprint() == before


def test_correlations_against_numpy() -> None:
    """Over two batches as over all at once, by np.corrcoef of what the second layer gets."""
    torch.manual_seed(0)
    mine, theirs = (nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)).eval() for _ in range(2))
    data = torch.randn(40, 3)
    found = correlations(alike(mine, data), mine, theirs, [data[:25], data[25:]], "rebasin")
    with torch.no_grad():
        values = np.concatenate([mine[:2](data).T.numpy(), theirs[:2](data).T.numpy()])
    assert np.allclose(found["0"].numpy(), np.corrcoef(values)[:6, 6:], atol=1e-5)


def test_a_unit_that_never_changes_is_no_trouble() -> None:
    """A neuron that is always zero has no correlation, and no NaN."""
    mine = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).eval()
    with torch.no_grad():
        mine[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]))
        mine[0].bias.copy_(torch.tensor([0.1, -1.0, 0.2]))
    data = [torch.randn(30, 2, generator=torch.Generator().manual_seed(0))]
    found = correlations(alike(mine, data[0]), mine, mine, data, "rebasin")["0"]
    assert torch.allclose(found.diagonal(), torch.tensor([1.0, 0.0, 1.0]).double())
    assert not found[1].any() and not found[:, 1].any()


def test_refused(tmp_path: Path) -> None:
    """Without data, with too few, and with data that the model does not take."""
    parent = permuted("tied_head", tmp_path)
    session = surgery.open(*ZOO["tied_head"]())
    session.data = []
    with pytest.raises(SurgeryError, match=r"needs data.* Try: .*s\.data"):
        session.rebasin("", parents=[parent], by="activations")
    session.data = [{"ids": torch.tensor([[1, 2, 3]])}]
    with pytest.raises(SurgeryError, match=r"embed: has 16 units.* got 3 values, expected at least 16"):
        session.rebasin("", parents=[parent], by="activations")
    session.data = [{"words": torch.ones(1)}]
    with pytest.raises(SurgeryError, match=r"cannot run a batch of `s\.data`"):
        session.rebasin("", parents=[parent], by="activations")
