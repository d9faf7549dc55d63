"""Which tensors have one order of units: against lists written by hand."""

from __future__ import annotations

import pytest
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.alignment.groups import groups
from surgery.alignment.units import Units
from surgery.model import Patient
from tests.surgery.contract import MODELS
from tests.zoo import ATLAS


def found(name: str) -> dict[str, Units]:
    """The groups of a model of the zoo by name."""
    return {group.name: group for group in groups(Patient(*(MODELS | ATLAS)[name]()))}


def places(group: Units) -> set[tuple[str, int]]:
    """Paths and dimensions of its cuts."""
    return {(cut.path, cut.dim) for cut in group.cuts}


def test_the_residual_width_of_a_decoder() -> None:
    """Written by embedding, attention and MLPs, read by norms, projections and head."""
    width = found("llama")["model.embed_tokens"]
    model = MODELS["llama"]()[0]
    reading, writing = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"), ("o_proj", "down_proj")
    by_hand = {("model.embed_tokens.weight", 1), ("lm_head.weight", 1), ("model.norm.weight", 0)}
    for name, _ in model.named_parameters():
        layer = name.split(".")[-2]
        by_hand |= {(name, 1)} if layer in reading else {(name, 0)} if layer in writing else set()
        by_hand |= {(name, 0)} if layer.endswith("layernorm") else set()
    assert (width.kind, width.count) == ("width", 32)
    assert places(width) == by_hand


def test_heads_that_share_keys_are_one_unit() -> None:
    """Of two query heads of 8 entries with one key head: blocks of 16 and 8, and 16 columns out."""
    heads = found("llama")["model.layers.0.self_attn"]
    at = "model.layers.0.self_attn."
    sizes = {cut.path.removeprefix(at): (cut.dim, cut.sections) for cut in heads.cuts}
    assert (heads.kind, heads.count) == ("heads", 2)
    assert sizes == {
        "q_proj.weight": (0, ((0, 16),)),
        "k_proj.weight": (0, ((0, 8),)),
        "v_proj.weight": (0, ((0, 8),)),
        "o_proj.weight": (1, ((0, 16),)),
    }


def test_heads_of_torch_attention() -> None:
    """Queries, keys and values lie behind one another in one matrix."""
    heads = found("encoder")["layers.0.self_attn"]
    cuts = {cut.path.removeprefix("layers.0.self_attn."): (cut.dim, cut.sections) for cut in heads.cuts}
    fused = ((0, 8), (16, 8), (32, 8))
    assert cuts == {
        "in_proj_weight": (0, fused),
        "in_proj_bias": (0, fused),
        "out_proj.weight": (1, ((0, 8),)),
    }


def test_a_tied_head_moves_with_its_embedding() -> None:
    """Its columns are the width, its rows are tokens that keep their ids."""
    assert ("embed.weight", 1) in places(found("tied_head")["embed"])
    assert all(("embed.weight", 0) not in places(group) for group in found("tied_head").values())


def test_channels_take_their_statistics_along() -> None:
    """Convolutions of a residual stage, norms with running statistics, and who reads them."""
    stage = found("cnn")["down"]
    assert (stage.kind, stage.count, stage.size) == ("channels", 4, 4)  # of its grouped convolutions' groups
    assert {("down.weight", 0), ("stage2.0.bn2.running_var", 0), ("stage2.0.conv1.weight", 0)} <= places(
        stage
    )
    assert not {path for path, _ in places(stage) if path.startswith("stem")}


def test_layers_that_share_a_tensor_have_one_group() -> None:
    """Two attentions with the same queries move their heads alike."""
    session = surgery.open(*MODELS["llama"]())
    session.tie("model.layers.1.self_attn.q_proj", to="model.layers.0.self_attn.q_proj")
    heads = [group for group in groups(session.patient) if group.kind == "heads"]
    assert heads[0].members == ("model.layers.0.self_attn", "model.layers.1.self_attn")


def test_without_example_inputs_names_are_what_is_left() -> None:
    """Heads and neurons of known classes are found, a plain module has none."""
    model, _ = MODELS["llama"]()
    assert {group.kind for group in groups(Patient(model))} == {"heads", "neurons"}
    with pytest.raises(SurgeryError, match="no example inputs"):
        groups(Patient(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))))


def test_what_comes_out_keeps_its_order() -> None:
    """The width of a T5 comes out of its encoder, that of a BERT with a head does not."""
    assert "width" not in {group.kind for group in found("t5").values()}
    assert "width" in {group.kind for group in found("bert").values()}
