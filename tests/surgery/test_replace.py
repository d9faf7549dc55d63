"""Replace: copies, new modules and stored tensors, as made by hand; the cache counts right."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import surgery
from surgery import SurgeryError
from tests.surgery.by_hand import SMALL, block_lists, by_hand, heard, small
from tests.surgery.states import cached_equals_uncached, loads_again, run, snapshot
from tests.zoo import ATLAS, ZOO


@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma3_text", "gpt2", "falcon"])
def test_a_block_is_a_copy_of_another(name: str, tmp_path: Path) -> None:
    """As in a model made by hand from these blocks, whatever their type of attention; values are its own."""
    model, inputs = SMALL[name]()
    session, blocks = surgery.open(model, inputs), block_lists(model)[0]
    session.replace(f"{blocks}[0]", by=f"{blocks}[3]")
    assert torch.equal(run(session.model, inputs), run(by_hand(model, blocks, [3, 1, 2, 3]), inputs))
    cached_equals_uncached(session.model)
    for one, other in zip(
        session.model.get_submodule(f"{blocks}.0").parameters(),
        session.model.get_submodule(f"{blocks}.3").parameters(),
        strict=True,
    ):
        assert torch.equal(one, other) and one.data_ptr() != other.data_ptr()
    loads_again(session, tmp_path / "out")
    if name == "qwen2":
        assert session.model.config.layer_types == [model.config.layer_types[index] for index in (3, 1, 2, 3)]


@pytest.mark.parametrize("name", ["t5", "bart", "whisper"])
@pytest.mark.parametrize(("target", "by", "order"), [(1, 0, [0, 0, 2, 3]), (0, 2, [2, 1, 2, 3])])
def test_a_block_of_a_decoder_beside_an_encoder(name: str, target: int, by: int, order: list[int]) -> None:
    """As by hand: self and cross attention have one slot, and a T5's bias stays with the first block."""
    model, inputs = small(name)
    session, blocks = surgery.open(model, inputs), block_lists(model)[-1]
    session.replace(f"{blocks}[{target}]", by=f"{blocks}[{by}]")
    made = by_hand(model, blocks, order)
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    assert list(session.model.state_dict()) == list(made.state_dict())
    cached_equals_uncached(session.model, heard(name, inputs))


def test_attention_of_another_block(tmp_path: Path) -> None:
    """Attention and MLP copied by themselves, as with state_dict by hand; another type is refused."""
    model, inputs = SMALL["qwen2"]()
    session = surgery.open(model, inputs)
    session.replace("model.layers[2].self_attn", by="model.layers[0].self_attn")
    session.replace("model.layers[1].mlp", by="model.layers[2].mlp")
    made: Any = copy.deepcopy(model)
    made.model.layers[2].self_attn.load_state_dict(model.model.layers[0].self_attn.state_dict())
    made.model.layers[1].mlp.load_state_dict(model.model.layers[2].mlp.state_dict())
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "out")
    with pytest.raises(SurgeryError, match="the attention of this block is of another type"):
        session.replace("model.layers[0].self_attn", by="model.layers[1].self_attn")


def test_by_what_has_no_attention(tmp_path: Path) -> None:
    """A block replaced by a module of another kind has no slot; a copy of a block there has one again."""
    model, inputs = SMALL["gpt2"]()
    session = surgery.open(model, inputs)
    session.replace("transformer.h[0]", module="identity")
    assert torch.equal(run(session.model, inputs), run(by_hand(model, "transformer.h", [1, 2, 3]), inputs))
    cached_equals_uncached(session.model)
    session.replace("transformer.h[0]", by="transformer.h[1]")
    assert torch.equal(run(session.model, inputs), run(by_hand(model, "transformer.h", [1, 1, 2, 3]), inputs))
    cached_equals_uncached(session.model)
    session.replace("transformer.h[1].attn", module="linear")
    cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "out")


def test_a_norm_of_another_kind() -> None:
    """Every LayerNorm a fresh RMSNorm of its width: as with modules set by hand."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    session.replace("**:LayerNorm", module="rmsnorm(eps=1e-5)")
    made: Any = copy.deepcopy(model)
    made.norm = nn.RMSNorm(16, eps=1e-5)
    for block in made.blocks:
        block.norm = nn.RMSNorm(16, eps=1e-5)
    assert torch.equal(run(session.model, inputs), run(made, inputs))


def test_ties_inside_a_copy_stay_and_others_end() -> None:
    """What is one parameter in the source is one in the copy; the target leaves the tie it was in."""
    session = surgery.open(*ZOO["llama"]())
    session.tie("model.layers[1].mlp.gate_proj", to="model.layers[1].mlp.up_proj")
    session.tie("model.layers[2].mlp", to="model.layers[0].mlp")
    session.replace("model.layers[2].mlp", by="model.layers[1].mlp")
    layers: Any = session.model.model.layers
    assert layers[2].mlp.gate_proj.weight is layers[2].mlp.up_proj.weight
    assert layers[2].mlp.up_proj.weight is not layers[0].mlp.up_proj.weight
    assert layers[2].mlp.up_proj.weight is not layers[1].mlp.up_proj.weight


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the small Llama with every tensor doubled, and one of another dtype."""
    model, _ = ZOO["llama"]()
    tensors = {name: 2 * tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    tensors["model.norm.weight"] = tensors["model.norm.weight"].half()
    (tmp_path / "other").mkdir()
    save_file(tensors, tmp_path / "other" / "model.safetensors")
    return tmp_path / "other"


def test_tensors_of_another_folder(folder: Path, tmp_path: Path) -> None:
    """Those at the same path, or at another; saved, the folder is needed no more, replayed it is verified."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.replace("model.layers[0:2].mlp", parents=str(folder))
    session.replace("model.layers[0].self_attn", parents=str(folder), at="model.layers.2.self_attn")
    stored = load_file(folder / "model.safetensors")
    now = session.model.state_dict()
    for name, tensor in model.state_dict().items():
        wanted = tensor
        if name.startswith(("model.layers.0.mlp.", "model.layers.1.mlp.")):
            wanted = stored[name]
        if name.startswith("model.layers.0.self_attn."):
            wanted = stored[name.replace("layers.0", "layers.2")]
        assert torch.equal(now[name], wanted), name
    script = session.script
    assert surgery.replay(script, model, inputs=inputs).fingerprint() == session.fingerprint()
    session.save(tmp_path / "out")
    stored["model.layers.0.mlp.up_proj.weight"] += 1
    save_file(stored, folder / "model.safetensors")
    with pytest.raises(SurgeryError, match="this parent is not the one that was recorded"):
        surgery.replay(script, model, inputs=inputs)
    (folder / "model.safetensors").unlink()
    assert torch.equal(run(surgery.load(tmp_path / "out"), inputs), run(session.model, inputs))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "replace needs one of `by`, `module` and `parents`"),
    ({"by": "model.norm", "module": "linear"}, "replace needs one of"),
    ({"by": "model.layers[0]"}, "model.layers.0: a module cannot be replaced by itself"),
    ({"by": "model.layers"}, "model.layers.0: a module cannot be replaced by one that contains it"),
    ({"by": "model"}, "a module cannot be replaced by one that contains it"),
    ({"by": "model.layers[9]"}, "model.layers[9]: matches nothing"),
    ({"by": "model.layers[0:2]"}, "replace.by needs one module"),
    ({"module": "rmsnrm"}, "no module is registered as 'rmsnrm'"),
    ({"module": "linear", "width": 7}, "the forward would fail here"),
    ({"targets": "**", "by": "model.norm"}, "(root): the whole model cannot be replaced"),
    ({"targets": "model", "by": "model.norm"}, "is an end of a tie that the model's config declares"),
    ({"targets": "model.layers[0].mlp", "by": "model.layers[1].self_attn"}, "cannot keep the KV cache right"),
    ({"targets": "model.layers[0].self_attn.q_proj", "by": "lm_head"}, "the forward would fail here"),
    ({"targets": "lm_head", "module": "linear"}, "is an end of a tie that the model's config declares"),
    ({"parents": "nowhere"}, "holds no safetensors"),
    ({"parents": "FOLDER", "at": "model.norm"}, "this parent has a tensor that the target lacks"),
    ({"parents": "FOLDER", "at": "model.rotary"}, "this parent lacks the tensor"),
    ({"targets": "model.norm", "parents": "FOLDER"}, "model.norm.weight: the dtypes differ"),
    (
        {"targets": "model.norm", "parents": "FOLDER", "at": "model.embed_tokens"},
        "model.embed_tokens.weight: the shapes differ",
    ),
    ({"targets": "lm_head", "parents": "FOLDER"}, "is tied to a path outside the target"),
    ({"targets": "model.layers[0:2].mlp", "parents": "FOLDER", "at": "x"}, "with `at` for one target"),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED, ids=lambda value: str(value)[:50])
def test_refused_changes_nothing(fields: dict[str, Any], sentence: str, folder: Path) -> None:
    """The sentence names path and problem; the model stays."""
    session = surgery.open(*ZOO["llama"]())
    before = snapshot(session.model)
    given = {"targets": "model.layers[0]"} | fields
    if given.get("parents") == "FOLDER":
        given["parents"] = str(folder)
    with pytest.raises(SurgeryError) as refusal:
        session.replace(**given)
    assert sentence in str(refusal.value)
    assert snapshot(session.model) == before


def test_refused_elsewhere() -> None:
    """Families without a proof, torch's fast path, and running statistics of another checkpoint."""
    deepseek = surgery.open(*ATLAS["deepseek"]())
    with pytest.raises(SurgeryError, match="not proved on the family 'deepseek"):
        deepseek.replace("model.layers[0]", by="model.layers[1]")
    t5 = surgery.open(*SMALL["t5"]())
    with pytest.raises(SurgeryError, match="built for its own list of blocks"):
        t5.replace("encoder.block[0]", by="decoder.block[1]")
    with pytest.raises(SurgeryError, match=r"replace is not possible here: .* hand on"):
        t5.replace("encoder.block[1]", module="identity")
    encoder = surgery.open(*ZOO["encoder"]())
    with pytest.raises(SurgeryError, match="fast path"):
        encoder.replace("layers[0].linear1", module="linear")
    encoder.replace("layers[0].linear1", by="layers[1].linear1")
