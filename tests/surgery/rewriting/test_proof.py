"""The proof of exact rewrites: in float64 whatever the model casts to, and a refusal where it fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery import SurgeryError
from surgery.edits import Edit, SetTensor
from surgery.fields import Targets, option
from surgery.lazy import recipe
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.rewriting.double import InDouble, outputs
from surgery.rewriting.proof import difference, drawn
from tests.surgery.rewriting.models import lived, of_the_atlas


class _Casting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 3.0]))

    def forward(self, x: Tensor) -> Tensor:
        low = torch.zeros(2)
        low[:] = x.float() / 3
        return (self.weight * low.to(torch.bfloat16)).softmax(0, dtype=torch.float32)


def test_casts_on_the_way_stay_in_float64() -> None:
    """A forward that casts to float32, bfloat16 and writes into a new tensor is computed in float64 whole."""
    x = torch.tensor([0.1, 0.2], dtype=torch.float64)
    expected = (torch.tensor([1.0, 3.0], dtype=torch.float64) * (x / 3)).softmax(0)
    assert torch.equal(outputs(_Casting(), (x,))[0], expected)


@pytest.mark.parametrize("name", ["gemma3", "encoder", "recurrent", "mixtral"])
def test_every_kind_of_model_runs_in_float64(name: str) -> None:
    """Families of transformers, torch's own attention and recurrent layers give float64."""
    model, inputs = of_the_atlas(name)
    for wide, own in zip(outputs(model, inputs), outputs(model, inputs, double=False), strict=True):
        assert wide.dtype == torch.float64
        assert torch.allclose(wide, own.double(), atol=1e-3, rtol=1e-3)


def test_random_inputs_fit_the_examples() -> None:
    """Normal numbers for numbers, integers of the range there is, and masks as they are; always the same."""
    given = {"x": torch.zeros(3, 2), "ids": torch.tensor([[4, 9, 7]]), "mask": torch.tensor([[1, 0, 1]])}
    made = drawn(given)
    assert made["x"].std() > 0.1 and torch.equal(made["mask"], given["mask"])
    assert int(made["ids"].min()) >= 4 and int(made["ids"].max()) <= 9
    assert torch.equal(drawn(given)["x"], made["x"])


def test_differences_are_relative_to_the_largest() -> None:
    """|a − b| / max |a|; shapes that differ and numbers that are none are infinitely far apart."""
    one = torch.tensor([1.0, -4.0])
    assert difference([one], [one + torch.tensor([0.0, 0.4])]) == pytest.approx(0.1)
    assert difference([one], [torch.ones(3)]) == float("inf")
    assert difference([one], [torch.tensor([1.0, float("nan")])]) == float("inf")
    nothing = torch.tensor([float("nan"), 2.0])
    assert difference([nothing], [nothing]) == 0


@operation(title="Wrong", group="adjust", source="a test")
class Wrong(Operation):
    """Claims to be exact and halves a weight."""

    exact = True
    targets: Targets = option(help="linear layers")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for path in self.targets.paths:
            weight = patient.tensor(f"{path}.weight")
            yield SetTensor(f"{path}.weight", recipe("weighted_sum", weight, weights=(0.5,)))


def test_what_is_not_exact_is_refused() -> None:
    """A step that changes outputs is taken back, with the error that was found and the bound."""
    s = surgery.open(nn.Sequential(nn.Linear(3, 3, bias=False)).eval(), (torch.randn(2, 3),))
    weight = s.model[0].weight
    with pytest.raises(SurgeryError, match=r"0: wrong would change .*got 5.0e-01 .*at most 1e-09"):
        s.apply(Wrong(targets=Targets("0")))
    assert s.model[0].weight is weight and not s.steps


def _small() -> nn.Module:
    return lived(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)))


def test_without_weights_it_says_so_and_a_replay_proves(tmp_path: Path) -> None:
    """On a skeleton nothing can be computed; the script proves it where the weights are."""
    inputs: Any = (torch.randn(1, 2, 4, 4),)
    skeleton = surgery.open(_small().to("meta"), inputs)
    state = skeleton.fold_norm()
    assert str(state.proof) == "not proved: the model was opened without weights"
    again = surgery.replay(skeleton.script, _small(), inputs=inputs)
    proof = again.history.current.proof
    assert proof is not None and proof.error is not None and proof.error < 1e-14


def test_the_mode_ends() -> None:
    """Outside of it float32 is float32."""
    with InDouble():
        assert torch.zeros(2).dtype == torch.float64
    assert torch.zeros(2).dtype == torch.float32
