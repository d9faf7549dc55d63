"""Narrow: what it refuses, what it does with ties, and how it goes with other operations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Session, SurgeryError
from surgery.model import private_shell
from tests.surgery.states import cached_equals_uncached, loads_again, snapshot
from tests.surgery.widths import MODELS, narrowed, outputs
from tests.zoo import ATLAS, ZOO
from tests.zoo.families import DECODERS, VARIANTS

REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "heads that share keys": ("llama", {"units": "heads", "count": 1}, "multiple of 2.*|groups of 2"),
    "none left": ("llama", {"count": 0}, "at least 1"),
    "no fewer": ("llama", {"count": 48}, "from 1 to 47"),
    "more": ("llama", {"units": "heads", "count": 6}, "from 2 to 2"),
    "a ratio of none": ("gpt2", {"units": "heads", "ratio": 0.2}, "4 to be left"),
    "a ratio and a number": ("llama", {"count": 8, "ratio": 0.5}, "one of ratio, count and kept"),
    "neither": ("llama", {}, "one of ratio, count and kept"),
    "places twice": ("llama", {"kept": [1, 1, 2]}, "ascending places"),
    "places out of order": ("llama", {"kept": [2, 1]}, "ascending places"),
    "places that are none": ("llama", {"units": "heads", "kept": [1, 2]}, "from 0 to 1"),
    "no neurons": (
        "llama",
        {"targets": "model.norm"} | {"ratio": 0.5},
        r"no neurons.*`model\.layers\.0\.mlp`",
    ),
    "experts": ("mixtral", {"ratio": 0.5}, "no neurons"),
    "no heads": ("tied_head", {"units": "heads"} | {"ratio": 0.5}, "no heads"),
    "a piece": ("llama", {"targets": "**.up_proj"} | {"ratio": 0.5}, r"a piece.*`model\.layers\.0\.mlp`"),
    "a block of T5": (
        "t5",
        {"targets": "encoder.block[1]", "units": "heads", "count": 2},
        r"`encoder\.block`",
    ),
    "a block of Phi-3": (
        "phi3",
        {"targets": "model.layers[1]", "units": "heads", "count": 2},
        r"as many as.*\*\*:Phi3Attention",
    ),
    "one cross attention of T5": (
        "t5",
        {"targets": "decoder.block.1.layer.1", "units": "heads", "count": 2},
        r"as many as.*decoder\.block\[\*\]\.layer\.1\.EncDecAttention",
    ),
    "a config that is read": (
        "long_phi3",
        {"units": "heads", "count": 2},
        "reads its widths from the config",
    ),
    "slopes by head": ("falcon-alibi", {"units": "heads", "count": 2}, "ALiBi"),
    "torch's attention": ("encoder", {"units": "heads", "count": 1}, "torch's own attention"),
}


def long_phi3() -> tuple[nn.Module, Any]:
    """Phi-3 with factors for each frequency; its config wants as many as heads that fill the width have."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "rope_type": "longrope"}
    return DECODERS["phi3"](
        rope_parameters={**factors, "rope_theta": 10000.0, "partial_rotary_factor": 1.0},
        original_max_position_embeddings=32,
    )


def model_of(name: str) -> tuple[nn.Module, Any]:
    """A model of the families, of the proof, or of the zoo."""
    return (ATLAS | ZOO | DECODERS | VARIANTS | MODELS | {"long_phi3": long_phi3})[name]()


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_a_way_out(case: str) -> None:
    """Before anything has changed."""
    name, fields, words = REFUSED[case]
    model, inputs = model_of(name)
    session = surgery.open(model, inputs)
    before = snapshot(session.model)
    with pytest.raises(SurgeryError, match=words):
        session.narrow(**{"targets": "**"} | fields)
    assert snapshot(session.model) == before


@pytest.mark.parametrize(("units", "inside"), [("neurons", "mlp.down_proj"), ("heads", "self_attn.v_proj")])
def test_adapters_inside_are_refused(units: str, inside: str) -> None:
    """With the way out, which works; those beside are in nobody's way."""
    session = surgery.open(*ZOO["llama"]())
    session.attach(f"model.layers[0].{inside}", rank=2)
    with pytest.raises(SurgeryError, match=rf'fold\("model.layers.0.{inside}"\).*or.*detach'):
        session.narrow("model.layers[0]", units, ratio=0.5)
    session.narrow("model.layers[0]", "heads" if units == "neurons" else "neurons", ratio=0.5)
    session.fold(f"model.layers.0.{inside}")
    session.narrow("model.layers[0]", units, ratio=0.5)


def test_heads_that_time_stamps_name_are_refused() -> None:
    """Whisper's generation config points at them by place; its other heads may go."""
    model, inputs = ATLAS["whisper"]()
    whisper: Any = model
    whisper.generation_config.alignment_heads = [[0, 1]]
    session = surgery.open(model, inputs)
    with pytest.raises(SurgeryError, match="alignment_heads"):
        session.narrow("**", "heads", ratio=0.5)
    session.narrow("**.self_attn", "heads", ratio=0.5)


def test_tied_blocks_are_narrowed_together() -> None:
    """They stay tied, and every unit is chosen once for both."""
    session = surgery.open(*DECODERS["llama"]())
    session.tie("model.layers[2]", to="model.layers[0]")
    session.narrow("**", "heads", ratio=0.5)
    session.narrow("model.layers[0], model.layers[2]", "neurons", ratio=0.5)
    first, third = (dict(session.model.get_submodule(f"model.layers.{n}").named_parameters()) for n in (0, 2))
    assert all(first[name] is third[name] for name in first)
    assert first["mlp.up_proj.weight"].shape == (24, 32)


def test_a_tie_that_leads_out_is_refused() -> None:
    """With the name of the other end; untied, it works."""
    session = surgery.open(*DECODERS["llama"]())
    session.tie("model.layers[2]", to="model.layers[0]")
    before = snapshot(session.model)
    for units in ("neurons", "heads"):
        with pytest.raises(SurgeryError, match=r"tied.*model\.layers\.2.*untie"):
            session.narrow("model.layers[0]", units, ratio=0.5)
    assert snapshot(session.model) == before
    session.untie("model.layers[2]")
    session.narrow("model.layers[0]", ratio=0.5)


class Square(nn.Module):
    """As many neurons as inputs, and one matrix in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 6), nn.Linear(6, 6)
        self.fc2.weight = self.fc1.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.fc1(x).relu())


def test_a_tie_of_rows_with_columns_is_refused() -> None:
    """One tensor cannot lose rows here and columns there."""
    session = surgery.open(Square(), (torch.randn(2, 6),))
    with pytest.raises(SurgeryError, match="tied"):
        session.narrow("", ratio=0.5)


class Mlp(nn.Module):
    """As timm writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden_features = 24
        self.fc1, self.act, self.drop1 = nn.Linear(6, 24), nn.GELU(), nn.Dropout(0.1)
        self.norm, self.fc2, self.drop2 = nn.Identity(), nn.Linear(24, 6), nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.drop1(self.act(self.fc1(x))))
        return self.drop2(self.fc2(x))


def test_a_plain_mlp() -> None:
    """Known by the names of its children; attributes that say its width follow."""
    torch.manual_seed(0)
    model, inputs = Mlp().eval(), (torch.randn(2, 6),)
    made: Any = narrowed(model, targets="", count=5, by="first")
    with torch.no_grad():
        model.fc2.weight[:, 5:] = 0
    assert torch.allclose(outputs(made, inputs), outputs(model, inputs), atol=1e-6)
    assert (made.hidden_features, made.fc1.out_features, made.fc2.in_features) == (5, 5, 5)


def test_names_alone_are_not_enough() -> None:
    """Widths that do not fit each other make no neurons: a gate, as in GluMlp, halves them."""
    model = Mlp()
    model.fc1 = nn.Linear(6, 48)
    with pytest.raises(SurgeryError, match="no neurons"):
        narrowed(model, targets="", ratio=0.5)


def uneven() -> Session:
    """A Llama with half the neurons and heads in its first two blocks."""
    session = surgery.open(*DECODERS["llama"]())
    session.narrow("model.layers[0:2]", "neurons", ratio=0.5)
    session.narrow("model.layers[0:2]", "heads", ratio=0.5)
    return session


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("remove", {"targets": "model.layers[2]"}),
        ("remove", {"targets": "model.layers[2:4]"}),
        ("remove", {"targets": "model.layers[0:2]"}),
        ("duplicate", {"targets": "model.layers[1:3]"}),
        ("swap", {"target": "model.layers[0]", "other": "model.layers[3]"}),
        ("tie", {"targets": "model.layers[1]", "to": "model.layers[0]"}),
        ("merge", {"targets": "model.layers[0:2]"}),
        ("attach", {"targets": "**.{q,v}_proj", "rank": 2}),
        ("narrow", {"targets": "model.layers[2:4]", "ratio": 0.5}),
        ("narrow", {"targets": "model.layers[2:4]", "units": "heads", "ratio": 0.5}),
    ],
    ids=str,
)
def test_other_operations_follow(operation: str, fields: dict[str, Any], tmp_path: Path) -> None:
    """Blocks of two widths are arranged and combined, and the folder gives them back."""
    session = uneven()
    getattr(session, operation)(**fields)
    loads_again(session, tmp_path / "out")


@pytest.mark.parametrize("operation", ["tie", "merge"])
def test_blocks_of_different_widths_are_not_made_one(operation: str) -> None:
    """Tie and merge refuse them."""
    session = uneven()
    fields = {"to": "model.layers[3]"} if operation == "tie" else {}
    with pytest.raises(SurgeryError, match=r"not fit|shape"):
        getattr(session, operation)("model.layers[0]" if fields else "model.layers[1:3]", **fields)


def test_the_config_follows_once_all_agree(tmp_path: Path) -> None:
    """Block by block it waits; then a folder loads without the engine, after further steps too."""
    session = surgery.open(*DECODERS["qwen2"]())
    config: Any = session.model.config
    for number in range(4):
        assert (config.intermediate_size, config.num_key_value_heads) == (48, 2)
        session.narrow(f"model.layers[{number}]", "neurons", count=20)
        session.narrow(f"model.layers[{number}]", "heads", count=2)
    assert (config.intermediate_size, config.num_attention_heads, config.num_key_value_heads) == (20, 2, 1)
    assert config.head_dim == 8
    session.remove("model.layers[1]")
    loads_again(session, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "surgery.json").read_text())["loads_with"] == "transformers"
    session.goto(0)
    assert (config.intermediate_size, config.num_attention_heads, config.num_key_value_heads) == (48, 4, 2)
    assert not hasattr(config, "head_dim")


def test_groups_and_single_heads_together(tmp_path: Path) -> None:
    """Where one group is left, its heads go one by one; the config waits till both numbers agree."""
    session = surgery.open(*DECODERS["llama"]())
    config: Any = session.model.config
    session.narrow("model.layers[0]", "heads", count=2)
    session.narrow("**", "heads", ratio=0.5)
    attention: Any = [session.model.get_submodule(f"model.layers.{n}.self_attn") for n in (0, 1)]
    assert [module.q_proj.out_features for module in attention] == [8, 16]
    assert [module.k_proj.out_features for module in attention] == [8, 8]
    assert [module.num_key_value_groups for module in attention] == [1, 2]
    assert (config.num_attention_heads, config.num_key_value_heads) == (4, 2)
    cached_equals_uncached(private_shell(session.model).double())
    loads_again(session, tmp_path / "uneven")
    session.goto(0)
    session.narrow("**", "heads", count=2)
    session.narrow("**", "heads", count=1)
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (1, 1, 8)
    loads_again(session, tmp_path / "even")


def test_a_number_the_config_would_refuse_stays_out_of_it(tmp_path: Path) -> None:
    """Llama's wants heads that divide the hidden width; the model runs and loads all the same."""
    session = surgery.open(*DECODERS["llama"](num_key_value_heads=4))
    session.narrow("**", "heads", count=3)
    config: Any = session.model.config
    assert config.num_attention_heads == 4
    loads_again(session, tmp_path / "out")
