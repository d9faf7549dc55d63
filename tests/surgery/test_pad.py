"""Pad: units of zeros lead nowhere, on every family; what it refuses, and what follows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.journal import Journal
from surgery.model import private_shell
from surgery.operations.pad import Pad
from surgery.runs import Live, carry_out
from tests.surgery.states import loads_again, snapshot
from tests.surgery.widths import (
    ALIKE,
    CASES,
    HEADS,
    alone,
    columns,
    exact,
    leads_out,
    narrowed,
    outputs,
    some,
)
from tests.zoo import ZOO
from tests.zoo.families import DECODERS

pytestmark = pytest.mark.usefixtures("one_thread")


def padded(model: nn.Module, **fields: Any) -> nn.Module:
    """A shell of the model after the step, without a session around it."""
    made = private_shell(model)
    carry_out(Pad.from_fields(fields), made, Journal(), Live())
    return made


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of every stored tensor."""
    return {path: tuple(tensor.shape) for path, tensor in model.state_dict().items()}


@pytest.mark.parametrize(("name", "units"), CASES)
def test_zeros_lead_nowhere(name: str, units: str) -> None:
    """What was narrowed has its old shapes again, and computes what it did when it was narrow."""
    model, inputs = exact(name)
    targets, paths = alone(model, name, units) or ("**", leads_out(model, name, units))
    count = columns(model.get_submodule(paths[0])).shape[1]
    count = count if units == "neurons" else count // HEADS[name].width
    narrow = narrowed(model, targets=targets, units=units, kept=some(model, name, units))
    made = padded(narrow, targets=targets, units=units, count=count)
    assert shapes(made) == shapes(model) != shapes(narrow)
    before, after = outputs(narrow, inputs), outputs(made, inputs)
    assert torch.allclose(after, before, atol=1e-5 if name == "mixtral" else 1e-12, rtol=0)


def with_zeros(tensor: torch.Tensor, dim: int, more: int) -> torch.Tensor:
    """The tensor with zeros behind it."""
    shape = list(tensor.shape)
    shape[dim] = more
    return torch.cat([tensor, torch.zeros(shape, dtype=tensor.dtype)], dim)


def test_where_the_zeros_are() -> None:
    """Behind the rows of what leads in, its bias too, and behind the columns of what leads out."""
    model, _ = exact("llama-biases")
    before: Any = model.get_submodule("model.layers.1")
    made: Any = padded(model, targets="model.layers[1]", count=50).get_submodule("model.layers.1.mlp")
    for name in ("gate_proj", "up_proj"):
        mine, old = made.get_submodule(name), before.mlp.get_submodule(name)
        assert torch.equal(mine.weight, with_zeros(old.weight, 0, 2)) and mine.out_features == 50
        assert torch.equal(mine.bias, with_zeros(old.bias, 0, 2))
    assert torch.equal(made.down_proj.weight, with_zeros(before.mlp.down_proj.weight, 1, 2))
    assert torch.equal(made.down_proj.bias, before.mlp.down_proj.bias)
    assert (made.intermediate_size, made.down_proj.in_features) == (50, 50)


def test_heads_in_one_matrix() -> None:
    """GPT-2 has all queries, then all keys, then all values, and each get their zeros."""
    model, _ = exact("gpt2")
    before: Any = model.get_submodule("transformer.h.0.attn")
    made: Any = padded(model, targets="transformer.h[0]", units="heads", count=6).get_submodule(
        "transformer.h.0.attn"
    )
    for mine, old in ((made.c_attn.weight, before.c_attn.weight), (made.c_attn.bias, before.c_attn.bias)):
        parts = [with_zeros(part, -1, 16) for part in old.chunk(3, -1)]
        assert torch.equal(mine, torch.cat(parts, -1))
    assert torch.equal(made.c_proj.weight, with_zeros(before.c_proj.weight, 0, 16))
    assert (made.num_heads, made.split_size) == (6, 48)


@pytest.mark.parametrize("units", ["neurons", "heads"])
def test_narrow_takes_the_zeros_away_again(units: str) -> None:
    """By magnitude as by place: the very bits are left."""
    model, _ = exact("llama")
    count = 48 if units == "neurons" else 4
    wide = padded(model, targets="**", units=units, count=2 * count)
    for by in ("magnitude", "first"):
        again = narrowed(wide, targets="**", units=units, count=count, by=by)
        expected = model.state_dict()
        assert all(torch.equal(tensor, expected[path]) for path, tensor in again.state_dict().items())


def test_by_default_as_many_as_the_widest_of_the_targets() -> None:
    """Others do not count, and the widest stays the tensors it was."""
    session = surgery.open(*DECODERS["llama"]())
    session.narrow("model.layers[0]", count=10)
    session.narrow("model.layers[1:3]", count=30)
    kept = session.model.get_parameter("model.layers.2.mlp.up_proj.weight")
    session.pad("model.layers[0:3]")
    widths = [session.model.get_submodule(f"model.layers.{n}.mlp").intermediate_size for n in range(4)]
    assert widths == [30, 30, 30, 48]
    assert session.model.get_parameter("model.layers.2.mlp.up_proj.weight") is kept


def test_one_group_that_is_left_gets_others() -> None:
    """Where the config has two heads of keys, the second comes with its queries; with one, queries alone."""
    model, inputs = exact("llama")
    one = narrowed(model, targets="model.layers[0]", units="heads", count=2)
    made = padded(one, targets="model.layers[0]", units="heads", count=4)
    attention: Any = made.get_submodule("model.layers.0.self_attn")
    assert (attention.k_proj.out_features, attention.num_key_value_groups) == (16, 2)

    model, inputs = exact("llama-one-key")
    for count in (2, 1):
        few = narrowed(model, targets="model.layers[0]", units="heads", count=count)
        made = padded(few, targets="model.layers[0]", units="heads", count=4)
        attention = made.get_submodule("model.layers.0.self_attn")
        assert (attention.k_proj.out_features, attention.num_key_value_groups) == (8, 4)
        assert torch.allclose(outputs(made, inputs), outputs(few, inputs), atol=1e-12)


def test_a_group_is_made_whole_before_others_come() -> None:
    """Of one that lacks heads the next would not know how many it has; said with the step that mends it."""
    model, inputs = exact("llama")
    session = surgery.open(model, inputs)
    session.narrow("model.layers[0]", "heads", count=2)
    session.narrow("model.layers[0]", "heads", count=1)
    expected = outputs(session.model, inputs)
    with pytest.raises(SurgeryError, match="1 of the 2 query heads") as refusal:
        session.pad("model.layers[0]", "heads", count=4)
    assert refusal.value.hint == '`pad("model.layers.0.self_attn", "heads", count=2)` first'
    session.pad("model.layers[0]", "heads", count=2)
    session.pad("model.layers[0]", "heads", count=4)
    assert shapes(session.model) == shapes(model)
    assert torch.allclose(outputs(session.model, inputs), expected, atol=1e-12)


def test_the_config_follows_once_all_agree(tmp_path: Any) -> None:
    """Where it can say it, transformers loads the wide model."""
    session = surgery.open(*DECODERS["llama"]())
    config: Any = session.model.config
    session.pad("model.layers[0:2]", count=64)
    assert config.intermediate_size == 48
    session.pad("**", count=64)
    session.pad("**", "heads", count=8)
    said = (config.intermediate_size, config.num_attention_heads, config.num_key_value_heads, config.head_dim)
    assert said == (64, 8, 4, 8)
    loads_again(session, tmp_path / "out")


def test_a_figure_that_no_block_has_any_more_follows_too() -> None:
    """Narrow and pad know that it is the number of neurons, since a model made of the config has as many."""
    session = surgery.open(*DECODERS["llama"]())
    config: Any = session.model.config
    session.narrow("model.layers[0]", count=20)
    session.narrow("model.layers[1:]", count=36)
    assert config.intermediate_size == 48
    session.pad("model.layers[0]", count=36)
    assert config.intermediate_size == 36
    session.undo()
    session.narrow("model.layers[1:]", count=20)
    assert config.intermediate_size == 20


def test_ties_stay() -> None:
    """Tied blocks get one tensor; one of them alone is refused."""
    session = surgery.open(*DECODERS["llama"]())
    session.tie("model.layers[2]", to="model.layers[0]")
    before = snapshot(session.model)
    for units in ("neurons", "heads"):
        with pytest.raises(SurgeryError, match=r"would not be padded.*model\.layers\.2.*untie"):
            session.pad("model.layers[0]", units, count=96)
    assert snapshot(session.model) == before
    session.pad("model.layers[0], model.layers[2]", "heads", count=8)
    first, third = (dict(session.model.get_submodule(f"model.layers.{n}").named_parameters()) for n in (0, 2))
    assert all(first[name] is third[name] for name in first)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "fewer": ("llama", {"count": 40}, r"has 48 neurons already; got 40.*`narrow`"),
    "as many": ("llama", {"count": 48}, "would change nothing; got 48 neurons everywhere"),
    "no number, all alike": ("llama", {}, "would change nothing"),
    "half a group": ("llama", {"units": "heads", "count": 5}, "groups of 2; got 5, expected a multiple of 2"),
    "experts": ("mixtral", {"units": "experts", "count": 8}, r"pad\.units does not fit"),
    "neurons of experts": ("mixtral", {"count": 64}, "no neurons that pad knows"),
    "a piece": ("llama", {"targets": "**.up_proj", "count": 64}, "only a piece"),
    "slopes by head": ("falcon-alibi", {"units": "heads", "count": 8}, "ALiBi"),
    "a block of Phi-3": ("phi3", {"targets": "model.layers[1]", "units": "heads", "count": 8}, "as many as"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_a_way_out(case: str) -> None:
    """Before anything has changed."""
    name, fields, words = REFUSED[case]
    session = surgery.open(*exact(name))
    before = snapshot(session.model)
    with pytest.raises(SurgeryError, match=words):
        session.pad(**{"targets": "**"} | fields)
    assert snapshot(session.model) == before


def test_adapters_inside_are_refused() -> None:
    """They have the widths of now; folded in, it works."""
    session = surgery.open(*ZOO["llama"]())
    session.attach("model.layers[0].mlp.down_proj", rank=2)
    with pytest.raises(SurgeryError, match=r'fold\("model.layers.0.mlp.down_proj"\)'):
        session.pad("**", count=64)
    session.fold()
    session.pad("**", count=64)


class Thresholded(nn.Module):
    """A gate that is open for what lies above the mean of all neurons, as in Gemma 3n."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 6)
        self.activation_sparsity = 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.gate_proj(x)
        return self.down_proj(torch.relu(gate - gate.mean(-1, keepdim=True)) * self.up_proj(x))


@pytest.mark.parametrize("operation", ["narrow", "pad"])
def test_neurons_that_look_at_one_another_are_refused(operation: str) -> None:
    """Fewer of them, or zeros among them, would move the mean for all."""
    session = surgery.open(Thresholded(), (torch.randn(2, 6),))
    with pytest.raises(SurgeryError, match="mean and spread of all"):
        getattr(session, operation)("", count=4 if operation == "narrow" else 12)


def test_alike_parts_are_padded_together() -> None:
    """Attention of one number in Phi-3: all of it, and the config that its forward reads follows."""
    assert "phi3" in ALIKE
    model, inputs = exact("phi3")
    made: Any = padded(model, targets="**", units="heads", count=8)
    assert (made.config.num_attention_heads, made.config.num_key_value_heads) == (8, 4)
    assert torch.allclose(outputs(made, inputs), outputs(model, inputs), atol=1e-12)
