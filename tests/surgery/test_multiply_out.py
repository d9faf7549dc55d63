"""Multiply out: a weight that is made at each call is a plain one, with what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.charts import Bars
from tests.surgery.states import loaded_alone, run
from tests.zoo.families import DECODERS

MADE: list[tuple[str, str, dict[str, Any]]] = [
    ("llama", "multiplex", {"targets": "model.layers[*]", "start": "nearest"}),
    ("gpt2", "multiplex", {"targets": "transformer.h[*]", "others": "inputs"}),
    ("gpt2", "share_atoms", {"targets": "transformer.h[*].mlp.c_fc", "atoms": 2}),
    ("llama", "share_heads", {"targets": "**", "ratio": 0.5}),
]


@pytest.mark.parametrize(("name", "operation", "fields"), MADE, ids=lambda item: str(item))
def test_it_is_the_ordinary_model_again(
    name: str, operation: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Classes and names are those from before, outputs those that it had, and transformers alone loads it."""
    model, inputs = DECODERS[name]()
    session = surgery.open(model, inputs)
    getattr(session, operation)(**fields)
    shared = run(session.model, inputs)
    folder = session.save(tmp_path / "plain", plain=True)
    assert torch.allclose(run(loaded_alone(model, folder), inputs), shared, atol=1e-5)
    session.multiply_out()
    expected = {path: (type(item), list(item._parameters)) for path, item in model.named_modules()}
    found = {path: (type(item), list(item._parameters)) for path, item in session.model.named_modules()}
    assert found == expected
    assert torch.allclose(run(session.model, inputs), shared, atol=1e-5)
    if operation != "multiplex":
        assert torch.equal(run(session.model, inputs), shared)


def test_one_layer_leaves_the_others_what_they_share() -> None:
    """Its modules are plain; what the rest shares is the very parameter it was."""
    session = surgery.open(*DECODERS["llama"]())
    session.multiplex("model.layers[*]")
    layers: Any = session.model.get_submodule("model.layers")
    shared = layers[0].mlp.up_proj.shared
    weight = layers[2].mlp.up_proj.weight.detach().clone()
    session.multiply_out("model.layers[2]")
    assert type(layers[2].mlp.up_proj) is nn.Linear and torch.equal(layers[2].mlp.up_proj.weight, weight)
    assert layers[0].mlp.up_proj.shared is shared is layers[3].mlp.up_proj.shared


def test_what_was_the_same_in_all_is_one_weight() -> None:
    """Blocks that are tied whole share the weight that is made of what they shared."""
    session = surgery.open(*DECODERS["llama"]())
    session.multiplex("model.layers[*]")
    session.tie("model.layers[1]", to="model.layers[0]")
    session.multiply_out("model.layers[0:2]")
    layers: Any = session.model.get_submodule("model.layers")
    assert layers[0].mlp.up_proj.weight is layers[1].mlp.up_proj.weight


def test_what_was_frozen_stays_frozen() -> None:
    """A weight that is made of frozen parameters is frozen."""
    session = surgery.open(*DECODERS["llama"]())
    session.freeze("model.layers[*]")
    session.multiplex("model.layers[*]")
    session.multiply_out()
    layers: Any = session.model.get_submodule("model.layers")
    assert not any(item.requires_grad for item in layers.parameters())


def test_the_chart_counts_what_is_stored_more() -> None:
    """For a weight of four that share: all of its numbers but those of its transformation."""
    session = surgery.open(*DECODERS["llama"]())
    session.multiplex("model.layers[*].mlp.up_proj")
    chart = session.chart("multiply_out")
    assert isinstance(chart, Bars)
    module: Any = session.model.get_submodule("model.layers.0.mlp.up_proj")
    assert chart.values == (module.shared.numel() - module.gain.numel(),) * 4


def test_where_there_is_none_it_is_refused() -> None:
    """With the path."""
    with pytest.raises(SurgeryError, match=r"model\.layers\[0\]: has no linear module whose weight is made"):
        surgery.open(*DECODERS["llama"]()).multiply_out("model.layers[0]")
