"""`widen`: copies of neurons, and what reads them shared out among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery.checkpoint.manifest import read_manifest
from surgery.functions.rewriting import drawn_copies, shared_units
from tests.surgery.rewriting.models import (
    computes_the_same,
    lived,
    of_the_atlas,
    refused,
    streamed_equals_live,
)

X: Any = (torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),)


class _Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 5), nn.Linear(5, 6)

    def forward(self, x: Any) -> Any:
        return self.fc2(torch.tanh(self.fc1(x)))


def opened() -> surgery.Session:
    """A session on a layer of five neurons in float64."""
    torch.manual_seed(0)
    return surgery.open(lived(_Mlp().double()), X)


def test_neurons_are_copied_and_columns_divided() -> None:
    """Each row behind the first five is one of these; columns are divided by how often it is there."""
    s = opened()
    rows, bias, columns = s.model.fc1.weight, s.model.fc1.bias, s.model.fc2.weight
    s.widen("", count=8, seed=3)
    made = s.model
    assert made.fc1.weight.shape == (8, 6) and made.fc1.out_features == 8 == made.fc2.in_features
    origin = [next(i for i in range(5) if torch.equal(row, rows[i])) for row in made.fc1.weight]
    assert origin[:5] == list(range(5)) and len(set(origin[5:])) == 3
    for place, neuron in enumerate(origin):
        assert torch.equal(made.fc1.bias[place], bias[neuron])
        assert torch.equal(made.fc2.weight[:, place], columns[:, neuron] / origin.count(neuron))
    computes_the_same(s)


def test_the_seed_decides_and_no_neuron_comes_twice_before_all() -> None:
    """The same seed gives the same copies; in three times as many each neuron is there three times."""
    made = [drawn_copies(count=7, seed=seed, path="a", shape=(21,), dtype=torch.int64) for seed in (0, 0, 1)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    assert made[0].bincount().tolist() == [3] * 7
    assert drawn_copies(count=7, seed=0, path="a", shape=(10,), dtype=torch.int64).bincount().max() == 2


def test_units_of_several_sections_are_shared_out_each() -> None:
    """Gate and value side by side, two entries a unit, and what belongs to no unit as it is."""
    tensor = torch.arange(1.0, 12.0)[None]
    index = torch.tensor([0, 1, 1])
    made = shared_units(tensor, index, count=2, dim=1, sections=(1, 2, 5, 1))
    assert made.tolist() == [[1, 2, 3, 2, 2.5, 2, 2.5, 6, 3.5, 3.5, 8, 9, 10, 11]]


@pytest.mark.parametrize("name", ["gpt2", "t5", "encoder"])
def test_families_of_the_zoo(name: str) -> None:
    """Gated and plain layers, Conv1D, encoders and decoders."""
    s = surgery.open(*of_the_atlas(name))
    state = s.widen("**", factor=1.4)
    assert state.proof is not None and state.proof.error is not None
    assert state.proof.error < 1e-14 and state.proof.rounding < 1e-5


def test_twice_as_many_are_exact_halves() -> None:
    """In bfloat16 too: halving loses nothing, so only the order of sums is another."""
    model, inputs = of_the_atlas("llama")
    model = model.bfloat16()
    before = model.model.layers[0].mlp.down_proj.weight
    s = surgery.open(model, inputs)
    s.widen("**")
    made = s.model.model.layers[0].mlp.down_proj.weight
    assert torch.equal(made[:, : before.shape[1]] * 2, before)


def test_the_config_follows(tmp_path: Path) -> None:
    """Once all layers are as wide, the config says so and transformers loads the folder."""
    s = surgery.open(*of_the_atlas("llama"))
    wide = s.model.config.intermediate_size
    s.widen("**")
    assert s.model.config.intermediate_size == 2 * wide
    assert read_manifest(s.save(tmp_path / "out"))["loads_with"] == "transformers"


def test_what_is_no_more_is_refused() -> None:
    """A count below what is there, nothing with neurons, a layer under an adapter, a tie that leads out."""
    refused(
        opened(),
        r"has 5 neurons already; got 5 to be had, expected more than 5",
        "widen",
        targets="",
        factor=1.0,
    )
    refused(opened(), r"has 5 neurons.*Try: `narrow`", "widen", targets="", count=3)
    refused(surgery.open(*of_the_atlas("cnn")), "has no neurons that widen", "widen", targets="**")
    s = surgery.open(*of_the_atlas("llama"))
    s.tie("model.layers[1].mlp", to="model.layers[0].mlp")
    refused(
        s, r"is tied to a place that would not be widened.*Try: `untie", "widen", targets="model.layers[0]"
    )
    s.widen("model.layers[0:2]")
    assert s.model.model.layers[0].mlp.up_proj.weight is s.model.model.layers[1].mlp.up_proj.weight
    s.attach("model.layers[2].mlp.up_proj")
    refused(s, "is under an adapter", "widen", targets="model.layers[2]")


def test_streamed_is_live(tmp_path: Path) -> None:
    """Copies are drawn by the seed, so they are the same piece by piece."""
    streamed_equals_live("llama", lambda s: s.widen("**", factor=1.3, seed=5), tmp_path)
