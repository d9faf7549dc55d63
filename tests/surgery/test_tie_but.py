"""Tie, all but norms: what stays each block's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.charts import Bars
from tests.surgery.by_hand import block_lists, small

NORMS = {
    "gpt2": {"ln_1", "ln_2"},
    "llama": {"input_layernorm", "post_attention_layernorm"},
    "qwen3": {"input_layernorm", "post_attention_layernorm", "q_norm", "k_norm"},
    "t5": {"layer_norm"},
    "bert": {"LayerNorm"},
    "gpt_neox": {"input_layernorm", "post_attention_layernorm"},
}
"""What norm layers are called, by family, as its own code has it."""


@pytest.mark.parametrize("name", NORMS)
def test_norms_stay_and_all_else_is_shared(name: str) -> None:
    """Of two tied blocks the norms are apart, with the values that they had; biases are shared too."""
    model, inputs = small(name)
    session = surgery.open(model, inputs)
    blocks = block_lists(model)[0]
    session.tie(f"{blocks}[2:4]", to=f"{blocks}[1]", but="norms")
    to, tied = (dict(session.model.get_submodule(f"{blocks}.{place}").named_parameters()) for place in (1, 3))
    before = dict(model.get_submodule(f"{blocks}.3").named_parameters())
    assert set(to) == set(tied)
    for path in to:
        own = path.split(".")[-2] in NORMS[name]
        assert (to[path] is not tied[path]) == own, path
        if own:
            assert torch.equal(tied[path], before[path])


def test_vectors_stay_too() -> None:
    """With `but="vectors"` biases of linear modules are each one's own as well."""
    model, inputs = small("gpt2")
    session = surgery.open(model, inputs)
    session.tie("transformer.h[2]", to="transformer.h[1]", but="vectors")
    blocks: Any = session.model.get_submodule("transformer.h")
    assert blocks[1].mlp.c_fc.weight is blocks[2].mlp.c_fc.weight
    assert blocks[1].mlp.c_fc.bias is not blocks[2].mlp.c_fc.bias
    assert blocks[1].ln_1.weight is not blocks[2].ln_1.weight


def test_the_average_leaves_norms_alone() -> None:
    """What is shared starts from the average, norms from what they were, those of `to` among them."""
    model, inputs = small("llama")
    session = surgery.open(model, inputs)
    session.tie("model.layers[1:4]", to="model.layers[0]", start="average", but="norms")
    made, own = (item.get_submodule("model.layers") for item in (session.model, model))
    mean = sum(own[place].mlp.up_proj.weight for place in range(4)) / 4
    for place in range(4):
        assert torch.allclose(made[place].mlp.up_proj.weight, mean, atol=1e-7)
        assert torch.equal(made[place].input_layernorm.weight, own[place].input_layernorm.weight)


def test_norms_alone_cannot_be_tied_but_norms() -> None:
    """Where nothing else is there, there is nothing to share."""
    session = surgery.open(nn.Sequential(nn.LayerNorm(4), nn.LayerNorm(4)), (torch.randn(2, 4),))
    with pytest.raises(SurgeryError, match="no parameter to share"):
        session.tie("[1]", to="[0]", but="norms")


def test_the_chart_says_how_far_weights_move() -> None:
    """Relative to what they were: not at all of `to` itself, as far as its weights are of a target."""
    model, inputs = small("llama")
    session = surgery.open(model, inputs)
    chart = session.chart("tie", "model.layers[1:3]", to="model.layers[0]", but="norms")
    assert isinstance(chart, Bars) and chart.labels == ("0", "1", "2")
    own: Any = model.get_submodule("model.layers")
    names = [name for name, _ in own[0].named_parameters() if "norm" not in name]
    to, other = (
        torch.cat([own[place].get_parameter(name).detach().flatten() for name in names]) for place in (0, 2)
    )
    assert chart.values[0] == 0
    assert chart.values[2] == pytest.approx(float((to - other).norm() / other.norm()), rel=1e-5)
    average = session.chart("tie", "model.layers[1]", to="model.layers[0]", start="average")
    assert isinstance(average, Bars) and min(average.values) > 0
