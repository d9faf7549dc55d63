"""Names on disk and in memory, both ways, against what transformers writes and loads itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.checkpoint.names import in_memory, on_disk
from surgery.checkpoint.tensors import Checkpoint
from surgery.lazy import Held, Recipe, Stored
from surgery.quiet import quiet
from surgery.recipes import compute
from tests.zoo import ATLAS
from tests.zoo.families import DECODERS, ENCODERS, stirred

SMALL = ATLAS | DECODERS | ENCODERS
DIFFER = ("mixtral", "deepseek", "qwen_moe", "gpt_neox", "vit", "deit", "swin", "detr")
SAME = ("llama", "t5", "whisper", "bert", "clip")


def saved(model: Any, folder: Path, **more: Any) -> Path:
    """The model in a folder that transformers wrote."""
    with quiet():
        model.save_pretrained(folder, **more)
    return folder


def other(name: str) -> Any:
    """A model of the family with other values: what there is to merge with."""
    model = stirred(SMALL[name]()[0])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model


@pytest.mark.parametrize("name", [*DIFFER, *SAME])
def test_both_ways(name: str, tmp_path: Path) -> None:
    """On disk it is what transformers writes; from there in memory again it is the model."""
    model = SMALL[name]()[0]
    written = load_file(saved(model, tmp_path / "out") / "model.safetensors")
    made = on_disk(model)
    assert made.keys() == written.keys()
    assert (made.keys() <= model.state_dict().keys()) == (name in SAME)
    for key, tensor in written.items():
        assert (made[key].shape, made[key].dtype) == (tuple(tensor.shape), tensor.dtype)
        assert torch.equal(compute(made[key], {}), tensor), key

    checkpoint = Checkpoint.at(tmp_path / "out").for_model(model)
    live = model.state_dict(keep_vars=True)
    sites: dict[int, list[str]] = {}
    for key, tensor in live.items():
        sites.setdefault(id(tensor), []).append(key)
    assert set(checkpoint.names()) <= live.keys()
    for names in sites.values():
        tensor = live[names[0]]
        found = checkpoint.tensor(names, Held.of(nn.Parameter(tensor, requires_grad=False)))
        assert torch.equal(compute(found, {}), tensor), names


def test_a_tensor_of_stored_ones_is_a_recipe(tmp_path: Path) -> None:
    """Mixtral's experts lie one by one: what is fused in memory is made of them when it is asked for."""
    model = SMALL["mixtral"]()[0]
    checkpoint = Checkpoint.at(saved(model, tmp_path / "out")).for_model(model)
    name = "model.layers.0.mlp.experts.gate_up_proj"
    fused = checkpoint.tensor([name], Held.of(model.get_parameter(name)))
    assert isinstance(fused, Recipe) and fused.function == "concatenated"
    assert [half.function for half in fused.inputs if isinstance(half, Recipe)] == ["stacked", "stacked"]
    leaves = [leaf for half in fused.inputs for leaf in half.inputs]
    assert len(leaves) == 8 and all(isinstance(leaf, Stored) for leaf in leaves)
    plain = "model.layers.0.self_attn.q_proj.weight"
    assert isinstance(checkpoint.tensor([plain], Held.of(model.get_parameter(plain))), Stored)


@pytest.mark.parametrize("limit", ["5GB", "9KB"])
@pytest.mark.parametrize("name", ["mixtral", "vit", "llama", "gpt_neox", "swin"])
def test_merging_with_what_transformers_saved(name: str, limit: str, tmp_path: Path) -> None:
    """Every tensor is Σ wθ, by live names, whatever the names on disk and in however many files."""
    model, inputs = SMALL[name]()
    parent = other(name)
    folder = saved(parent, tmp_path / "parent", max_shard_size=limit)
    session = surgery.open(model, inputs)
    session.merge("**", parents=[str(folder)], weights=[0.25, 0.75])
    theirs, mine = dict(parent.named_parameters()), dict(model.named_parameters())
    for path, tensor in session.model.named_parameters():
        assert torch.equal(tensor, mine[path] * 0.25 + theirs[path] * 0.75), path
    script = surgery.Script.from_json(session.script.to_json())
    assert surgery.replay(script, model, inputs=inputs).fingerprint() == session.fingerprint()


@pytest.mark.parametrize("name", ["mixtral", "vit"])
def test_parents_with_live_names(name: str, tmp_path: Path) -> None:
    """A folder that needs `surgery.load` has the names in memory, and is a parent as well."""
    model, inputs = SMALL[name]()
    parent = surgery.open(*SMALL[name]())
    blocks = "vit.layers" if name == "vit" else "model.layers"
    parent.sparsify("**", 0.5)
    parent.duplicate(f"{blocks}.3", shared=True)
    folder = parent.save(tmp_path / "parent")
    session = surgery.open(model, inputs)
    session.duplicate(f"{blocks}.3", shared=True)
    before = dict(session.model.named_parameters())
    session.merge("**", parents=[str(folder)])
    theirs = dict(parent.model.named_parameters())
    for path, tensor in session.model.named_parameters():
        assert torch.equal(tensor, before[path] * 0.5 + theirs[path] * 0.5), path


def test_the_model_without_its_head_as_a_parent(tmp_path: Path) -> None:
    """Its names lack the prefix: they are found all the same, and what it does not have is named."""
    model, inputs = SMALL["mixtral"]()
    parent = other("mixtral")
    folder = saved(parent.model, tmp_path / "parent")
    session = surgery.open(model, inputs)
    session.merge("model.layers", parents=[str(folder)])
    path = "model.layers.3.mlp.experts.down_proj"
    half = 0.5 * model.get_parameter(path) + 0.5 * parent.get_parameter(path)
    assert torch.equal(session.model.get_parameter(path), half)
    with pytest.raises(SurgeryError, match=r"lm_head\.weight: this parent lacks the tensor"):
        session.merge("**", parents=[str(folder)])


def test_a_parent_that_lacks_an_expert_is_refused(tmp_path: Path) -> None:
    """What is stacked of too few has another shape, which is said by the name in memory."""
    model, inputs = SMALL["mixtral"]()
    folder = saved(model, tmp_path / "parent")
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if ".experts.3." in name]:
        del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    session = surgery.open(model, inputs)
    with pytest.raises(
        SurgeryError, match=r"layers\.0\.mlp\.experts\.gate_up_proj: the shapes differ; got \[3, "
    ):
        session.merge("**", parents=[str(folder)])
    for name in [name for name in tensors if name.endswith(".w3.weight")]:
        del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SurgeryError, match=r"gate_up_proj: cannot be made of the tensors in this checkpoint"):
        session.merge("**", parents=[str(folder)])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda tensor: torch.roll(tensor, 1), "roll"),
        (lambda tensor: tensor.mul_(2), "mul_"),
        (lambda tensor: tensor.view(torch.int32), "view"),
        (lambda tensor: tensor.half(), "half"),
    ],
    ids=["copy", "in place", "bits", "dtype"],
)
def test_a_conversion_that_is_not_known_is_refused(
    change: Callable[[torch.Tensor], torch.Tensor], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of a tensor of another content: the function is named."""
    from transformers import core_model_loading

    def changed(self: Any, input_dict: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {key: change(value[0]) for key, value in input_dict.items()}

    monkeypatch.setattr(core_model_loading.SplitModulelist, "convert", changed)
    with pytest.raises(SurgeryError, match=rf"in a way that is not known here; got {name}"):
        on_disk(SMALL["mixtral"]()[0])


def test_modules_of_ones_own_keep_their_names() -> None:
    """Nothing is converted where there is no family."""
    lazy = Held.of(nn.Parameter(torch.zeros(2)))
    assert in_memory(nn.Linear(2, 2), {"encoder.layer.0.weight": lazy}) == {"encoder.layer.0.weight": lazy}
