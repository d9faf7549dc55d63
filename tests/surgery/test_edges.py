"""Models and moments that once went wrong without a word."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import surgery
from surgery import SurgeryError
from surgery.journal import Journal
from surgery.operations.untie import Untie
from tests.zoo import ZOO

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


def square(count: int) -> nn.Sequential:
    """Linear layers of width 4."""
    torch.manual_seed(0)
    return nn.Sequential(*[nn.Linear(4, 4) for _ in range(count)]).eval()


def test_names_in_a_sequence_need_not_be_positions() -> None:
    """A slice of a Sequential keeps its names: the block of that name goes, and no other."""
    model = nn.Sequential(square(5)[1:4]).eval()
    session = surgery.open(model, X)
    session.remove("0.1")
    expected = model[0][2](model[0][1](X))
    assert torch.equal(session.model(X), expected)


def test_modules_held_in_a_plain_list_are_refused() -> None:
    """The forward would go on using the old ones; the sentence names the list."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(square(3))
            self.order = list(self.blocks)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in self.order:
                x = block(x)
            return x

    session = surgery.open(Plain().eval(), X)
    for operation in ("remove", "attach"):
        with pytest.raises(SurgeryError, match="held outside the module tree, in order"):
            getattr(session, operation)("blocks.1")


def test_adapter_that_nothing_reads_is_refused() -> None:
    """Where a parent reads the weight itself, an adapter around it would have no effect."""

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(x, self.head.weight)

    session = surgery.open(Functional().eval(), X)
    before = list(session.model.state_dict())
    with pytest.raises(SurgeryError, match="the forward never reads what it adds"):
        session.attach("head")
    assert list(session.model.state_dict()) == before


def test_undo_leaves_the_mode_as_it_is_now() -> None:
    """Train and eval are the user's: undoing a step made in training mode brings no dropout back."""
    model, inputs = ZOO["gpt2"]()
    session = surgery.open(model.train(), inputs)
    session.remove("transformer.h[0]")
    session.model.eval()
    session.undo()
    assert not any(module.training for module in session.model.modules())


def test_undo_leaves_what_the_user_set_meanwhile() -> None:
    """The journal takes back its own values only."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.remove("model.layers[0]")
    session.model.config._attn_implementation = "eager"
    session.undo()
    assert session.model.config._attn_implementation == "eager"
    assert session.model.config.num_hidden_layers == 4


def test_history_of_a_thousand_steps() -> None:
    """Long histories are neither deep recursion nor lost."""
    session = surgery.open(square(2), X)
    for _ in range(1100):
        session.history.add(Untie(targets="0"), Journal())
    assert len(session.steps) == 1100
    assert len(session.script.steps) == 1100


def test_merging_adapted_blocks_is_refused() -> None:
    """The average of factors is not the average of what they do."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.attach("model.layers[0:2].**:Linear")
    with pytest.raises(SurgeryError, match="carries an adapter"):
        session.merge("model.layers[0:2]")


def test_adapters_of_other_scales_are_not_tied() -> None:
    """One pair of factors at two scales would be two adapters."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.attach("model.layers[0].**:Linear", alpha=1.0)
    session.attach("model.layers[1].**:Linear", alpha=9.0)
    with pytest.raises(SurgeryError, match="read the shared tensor differently"):
        session.tie("model.layers[1]", to="model.layers.0")


def test_fingerprint_tells_activations_and_scales_apart() -> None:
    """Two plain models with the same tensors and another module between them are not the same model."""
    first = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    second = nn.Sequential(first[0], nn.Tanh(), first[2])
    prints = [surgery.open(model.eval(), X).fingerprint() for model in (first, second)]
    assert prints[0] != prints[1]


def test_float64_is_ranked_as_float64() -> None:
    """Differences below float32 decide which element goes."""
    model = nn.Linear(2, 2, bias=False).double()
    model.weight.data = torch.tensor([[1 + 3e-9, 1.0], [1 + 1e-9, 2.0]], dtype=torch.float64)
    session = surgery.open(nn.Sequential(model).eval(), torch.zeros(1, 2, dtype=torch.float64))
    session.sparsify("0", 0.25)
    assert session.model[0].weight[0, 1] == 0
    assert int((session.model[0].weight == 0).sum()) == 1


def test_ratio_is_read_as_written() -> None:
    """0.29 of 100 is 29, though its binary product is a little less."""
    session = surgery.open(nn.Sequential(nn.Linear(10, 10)).eval(), torch.zeros(1, 10))
    session.sparsify("0", 0.29)
    assert int((session.model[0].weight == 0).sum()) == 29


def test_random_half_of_an_adapter_does_not_depend_on_torch_defaults() -> None:
    """The default dtype and device are the user's; the draw is the seed's and path's."""
    made = []
    for dtype in (torch.float32, torch.float64):
        session = surgery.open(square(1), X)
        torch.set_default_dtype(dtype)
        try:
            session.attach("0")
        finally:
            torch.set_default_dtype(torch.float32)
        made.append(session.model[0].lora_A.detach())
    assert torch.equal(made[0], made[1])


def test_steps_on_a_skeleton_stay_without_weights() -> None:
    """A session without weights takes every operation and makes no tensor."""
    session = surgery.open("demo", skeleton=True)
    session.sparsify("**:Linear", 0.5, "global")
    session.attach("model.layers.0.self_attn.q_proj")
    session.fold()
    assert all(parameter.is_meta for parameter in session.model.parameters())


def test_untied_decoder_block_gets_a_cache_slot_and_the_shared_config() -> None:
    """A block that stood in two places keeps no slot of the other, and follows the model's config."""
    model, inputs = ZOO["llama"]()
    model.model.layers[3] = model.model.layers[1]
    session = surgery.open(model, inputs)
    session.untie("model.layers.3")
    attention = session.model.model.layers[3].self_attn
    assert attention.layer_idx == 3 and session.model.model.layers[1].self_attn.layer_idx == 1
    assert attention.config is session.model.config


def test_linear_and_conv1d_are_not_tied() -> None:
    """A square weight fits both, but one of them reads it transposed."""
    from transformers.pytorch_utils import Conv1D

    model = nn.Sequential(nn.Linear(4, 4), Conv1D(4, 4)).eval()
    session = surgery.open(model, X)
    with pytest.raises(SurgeryError, match="read the shared tensor differently"):
        session.tie("1", to="0")


def test_weight_that_is_computed_each_time_is_refused() -> None:
    """A parametrised Linear has no weight to wrap."""
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))).eval()
    session = surgery.open(model, X)
    with pytest.raises(SurgeryError):
        session.attach("0")


def test_generation_settings_survive(tmp_path: Any) -> None:
    """What the model had been told about generating is there after load, edit and save again."""
    first = surgery.open("demo")
    first.model.generation_config.max_length = 77
    first.remove("model.layers[1]")
    first.save(tmp_path / "first")
    second = surgery.open(tmp_path / "first")
    assert second.model.generation_config.max_length == 77
    second.remove("model.layers[1]")
    second.save(tmp_path / "second")
    from transformers import AutoModelForCausalLM

    again = AutoModelForCausalLM.from_pretrained(tmp_path / "second")
    assert again.generation_config.max_length == 77


def test_saving_changes_nothing_in_memory(tmp_path: Any) -> None:
    """Transformers notes things in the config it saves; the session's config stays as it was."""
    session = surgery.open("demo")
    session.remove("model.layers[1]")
    before = dict(session.model.config.__dict__)
    session.save(tmp_path / "out")
    assert session.model.config.__dict__ == before


def test_frozen_parameters_stay_frozen(tmp_path: Any) -> None:
    """Flags of training are part of what is saved."""
    session = surgery.open("demo")
    session.model.get_parameter("model.norm.weight").requires_grad_(False)
    session.attach("model.layers.0.self_attn.q_proj")
    session.save(tmp_path / "out")
    loaded = surgery.load(tmp_path / "out")
    frozen = [name for name, parameter in loaded.named_parameters() if not parameter.requires_grad]
    assert frozen == ["model.norm.weight"]


@pytest.mark.parametrize(
    "text", ["*.*.p" + "*" * 30 + "x", "{" * 100, "[" + "9" * 5000 + "]", "a*b*c*d*e*f*g"]
)
def test_hostile_selectors_end_at_once(text: str) -> None:
    """Neither time nor recursion: a sentence."""
    session = surgery.open(square(2), X)
    with pytest.raises(SurgeryError):
        session.remove(text)
