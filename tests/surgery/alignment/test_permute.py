"""The same function in another order: against tensors gathered by hand, in float64, and undone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from tests.surgery.contract import MODELS
from tests.surgery.states import run
from tests.zoo import ATLAS
from tests.zoo.channels import CHANNELS

ZOO = MODELS | ATLAS | CHANNELS


def double(value: Any) -> Any:
    """Inputs in float64."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: double(item) for key, item in value.items()}
    return tuple(map(double, value))


@pytest.mark.parametrize(
    "name", ["gpt2", "neox", "bert", "vit", "cnn", "resnet18", "unet", "densenet", "halves", "encoder"]
)
def test_the_function_stays_in_float64(name: str) -> None:
    """All groups in a drawn order: equal but for the rounding of sums, and every group moved something."""
    model, inputs = ZOO[name]()
    model, inputs = model.double(), double(inputs)
    for parameter in model.parameters():  # norms that all weigh 1 would hide what stayed
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 1.0, 0.3)
    session = surgery.open(model, inputs)
    session.permute("**", seed=1)
    assert torch.allclose(run(session.model, inputs), run(model, inputs), rtol=1e-11, atol=1e-11)
    moved = dict(session.model.named_parameters())
    assert sum(not torch.equal(moved[path], each) for path, each in model.named_parameters()) > 3


def test_what_it_gathers() -> None:
    """Rows of what leads in and columns of what leads out, as by hand; nothing else."""
    model, inputs = MODELS["gpt2"]()
    order = [*range(127, -1, -1)]
    session = surgery.open(model, inputs)
    session.permute("transformer.h.1.mlp", order=order)
    at = "transformer.h.1.mlp."
    expected = dict(model.named_parameters())
    expected |= {
        f"{at}c_fc.weight": expected[f"{at}c_fc.weight"][:, order],
        f"{at}c_fc.bias": expected[f"{at}c_fc.bias"][order],
        f"{at}c_proj.weight": expected[f"{at}c_proj.weight"][order],
    }
    for path, tensor in session.model.named_parameters():
        assert torch.equal(tensor, expected[path]), path


def test_back_again_is_bit_equal() -> None:
    """The inverse order gives every tensor back."""
    model, inputs = MODELS["llama"]()
    session = surgery.open(model, inputs)
    order = [3, *range(4, 32), 1, 0, 2]
    session.permute("**", units="width", order=order)
    session.permute("**", units="width", order=[order.index(place) for place in range(32)])
    assert session.fingerprint() == surgery.open(*MODELS["llama"]()).fingerprint()


def test_outputs_are_bit_equal_where_nothing_is_summed() -> None:
    """A maximum over the units does not round."""

    class Largest(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into = nn.Linear(3, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.into(x)).amax(-1)

    inputs = (torch.randn(5, 3, generator=torch.Generator().manual_seed(0)),)
    session = surgery.open(Largest(), inputs)
    before = run(session.model, inputs)
    session.permute("into", order=[7, 2, 0, 1, 3, 6, 5, 4])
    assert torch.equal(run(session.model, inputs), before)


def test_ties_and_seeds() -> None:
    """A tied block stays tied in its new order; equal seeds draw the same, others another."""
    orders = []
    for seed in (1, 1, 2):
        session = surgery.open(*MODELS["llama"]())
        session.tie("model.layers.1", to="model.layers.0")
        session.permute("**", seed=seed)
        mlps = [session.model.get_submodule(f"model.layers.{index}.mlp") for index in (0, 1)]
        assert mlps[0].up_proj.weight is mlps[1].up_proj.weight
        orders.append(session.fingerprint())
    assert orders[0] == orders[1] != orders[2]


def test_under_an_adapter() -> None:
    """Neurons move with the adapter's rows; heads are refused, since nobody knows where they lie in it."""
    model, inputs = MODELS["llama"]()
    session = surgery.open(model, inputs)
    session.attach("model.layers.0.mlp.up_proj, model.layers.0.self_attn.q_proj", rank=2)
    lora = session.model.get_submodule("model.layers.0.mlp.up_proj")
    up = next(tensor for name, tensor in lora.named_parameters() if tensor.shape == (48, 2))
    with torch.no_grad():
        nn.init.normal_(up)
    before = run(session.model, inputs)
    session.permute("model.layers.0.mlp", seed=1)
    assert torch.allclose(run(session.model, inputs), before, atol=1e-5)
    with pytest.raises(SurgeryError, match="under an adapter"):
        session.permute("model.layers.0.self_attn", units="heads")


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("llama", {"targets": "model.layers.0.self_attn.q_proj"}, "model.layers.0.self_attn.q_proj: has the"),
        ("llama", {"targets": "lm_head"}, "lm_head: has no units .* elsewhere .* Try: `permute"),
        ("llama", {"targets": "model.layers.0", "units": "width"}, "o_proj: writes .* model.embed"),
        ("llama", {"targets": "**", "order": [1, 0]}, ".* 32 entries of its width; got 1, 0"),
        ("cnn", {"targets": "down, stage2", "order": [*range(16)]}, "of 4 channels of 4 entries"),
        ("llama", {"targets": "model.layers.0.mlp", "order": [0] * 48}, "each place from 0 to 47 once"),
    ],
)  # fmt: skip
def test_refused(model: str, fields: dict[str, Any], said: str) -> None:
    """What may not change places is named with its path, and a way out."""
    session = surgery.open(*MODELS[model]())
    with pytest.raises(SurgeryError, match=said):
        session.permute(**fields)
    assert len(session.script.steps) == 0


def test_heads_with_slopes_stay() -> None:
    """ALiBi gives each head its own slope by its place."""
    from transformers import FalconConfig, FalconForCausalLM

    config = FalconConfig(
        vocab_size=96, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, alibi=True
    )
    session = surgery.open(FalconForCausalLM(config).eval(), {"input_ids": torch.tensor([[1, 2, 3]])})
    with pytest.raises(SurgeryError, match="ALiBi"):
        session.permute("**", units="heads")
    before = run(session.model, session.opened.inputs)
    session.permute("**")  # leaves them out
    assert torch.allclose(run(session.model, session.opened.inputs), before, atol=1e-5)


def test_a_recorded_step_needs_no_forward() -> None:
    """What hangs together is kept in the step, and must be what is found where there are inputs."""
    session = surgery.open(*MODELS["tied_head"]())
    session.permute("**", seed=1)
    step = session.script.steps[0]
    again = surgery.open(MODELS["tied_head"]()[0])
    again.apply(step)
    assert again.fingerprint() == session.fingerprint()
    other = surgery.open(*MODELS["cnn"]())
    with pytest.raises(SurgeryError, match="permute"):
        other.apply(step)


def test_its_chart_counts_units() -> None:
    """A bar per group."""
    chart = surgery.open(*MODELS["tied_head"]()).chart("permute", "**")
    assert chart is not None and chart.values == (16.0, 32.0, 32.0, 32.0, 32.0)
