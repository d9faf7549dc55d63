"""Freeze: flags of the edited model alone, over the very same tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import surgery
from surgery import SurgeryError
from tests.zoo import ZOO


def flags(model: torch.nn.Module) -> dict[str, bool]:
    """Whether each parameter is trained, by path."""
    return {path: item.requires_grad for path, item in model.named_parameters(remove_duplicate=False)}


def test_gradients_flow_to_the_rest_alone() -> None:
    """After a backward pass frozen parameters have no gradient; memory is shared with the opened model."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.freeze("model.layers[0:2]")
    frozen = [path for path, trained in flags(session.model).items() if not trained]
    assert frozen == [
        path
        for path, _ in model.named_parameters()
        if path.startswith(("model.layers.0.", "model.layers.1."))
    ]
    session.model(**inputs).logits.sum().backward()
    for path, parameter in session.model.named_parameters():
        assert (parameter.grad is None) == (path in frozen), path
        assert parameter.data_ptr() == model.get_parameter(path).data_ptr()
    assert all(flags(model).values())


def test_thawing_and_undo() -> None:
    """The same operation lets parameters be trained again; undo gives back the very objects."""
    session = surgery.open(*ZOO["gpt2"]())
    before = dict(session.model.named_parameters())
    session.freeze("**")
    assert not any(flags(session.model).values())
    session.freeze("transformer.h[1]", frozen=False)
    assert [path for path, trained in flags(session.model).items() if trained] == [
        path for path in before if path.startswith("transformer.h.1.")
    ]
    session.undo()
    session.undo()
    assert all(parameter is before[path] for path, parameter in session.model.named_parameters())


def test_a_tie_stays_one_parameter() -> None:
    """Frozen through one of its ends, a tie is frozen at both and stays; an adapter on it is trained."""
    session = surgery.open(*ZOO["llama"]())
    session.tie("model.layers[1]", to="model.layers.0")
    session.freeze("model.layers[1]")
    assert session.model.get_parameter("model.layers.0.mlp.up_proj.weight") is session.model.get_parameter(
        "model.layers.1.mlp.up_proj.weight"
    )
    assert not flags(session.model)["model.layers.0.mlp.up_proj.weight"]
    session.attach("model.layers[1].self_attn.q_proj")
    now = flags(session.model)
    assert now["model.layers.1.self_attn.q_proj.lora_A"]
    assert not now["model.layers.1.self_attn.q_proj.base.weight"]


@pytest.mark.parametrize("name", ["llama", "siamese"])
def test_a_folder_keeps_the_flags(name: str, tmp_path: Path) -> None:
    """Loaded again, the same parameters are frozen."""
    session = surgery.open(*ZOO[name]())
    session.freeze("model.layers[2]" if name == "llama" else "left")
    session.save(tmp_path / "out")
    loaded = surgery.load(tmp_path / "out", into=None if name == "llama" else ZOO[name]()[0])
    assert flags(loaded) == flags(session.model)
    assert not all(flags(loaded).values())


def test_other_steps_keep_the_flag() -> None:
    """Values written into a frozen slot are frozen; a copy of a frozen block is."""
    session = surgery.open(*ZOO["llama"]())
    session.freeze("model.layers[0]")
    session.sparsify("model.layers[0]", 0.5)
    session.duplicate("model.layers[0]")
    now = flags(session.model)
    assert {path.split(".")[2] for path, trained in now.items() if not trained} == {"0", "1"}


def test_nothing_to_freeze_is_refused() -> None:
    """Twice, and where there is no parameter; unfreezing what is trained likewise."""
    session = surgery.open(*ZOO["llama"]())
    session.freeze("model.norm")
    for targets, frozen in (("model.norm", True), ("model.rotary_emb", True), ("model.layers", False)):
        with pytest.raises(SurgeryError, match="freeze would change nothing"):
            session.freeze(targets, frozen=frozen)
