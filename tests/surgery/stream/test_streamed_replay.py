"""A replay that streams is a replay in memory, bit for bit, or is refused with nothing written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.checkpoint.manifest import read_manifest
from surgery.fingerprint import tensor_digest
from surgery.quiet import quiet
from surgery.stream import tiles
from tests.zoo import ATLAS
from tests.zoo.families import DECODERS, ENCODERS

SMALL = ATLAS | DECODERS | ENCODERS
Edit = Callable[[surgery.Session], Any]


def saved(name: str, folder: Path) -> Path:
    """A model of the zoo as transformers saves it."""
    torch.manual_seed(3)
    model: Any = SMALL[name]()[0]
    with quiet():
        model.save_pretrained(folder)
    return folder


def tensors_in(folder: Path) -> dict[str, str]:
    """What every tensor of the folder's files is, by name."""
    files = folder.glob("*.safetensors")
    return {name: tensor_digest(tensor) for file in files for name, tensor in load_file(file).items()}


EDITS: list[tuple[str, Edit]] = [
    ("llama", lambda s: (s.remove("model.layers.1"), s.swap("model.layers.0", "model.layers.1"))),
    ("llama", lambda s: s.tie("model.layers.2", to="model.layers.1", start="average")),
    ("llama", lambda s: s.recur("model.layers[*]", loop=2, start="average", rank=3)),
    ("llama", lambda s: s.share_atoms("**.self_attn.{q,k,v,o}_proj", 2)),
    ("llama", lambda s: s.share_heads("**", ratio=0.5)),
    ("llama", lambda s: s.multiplex("model.layers[*]", span=2, start="nearest")),
    ("gpt2", lambda s: s.multiplex("transformer.h[*]", others="inputs")),
    ("llama", lambda s: (s.multiplex("model.layers[*]"), s.multiply_out("model.layers[1]"))),
    ("llama", lambda s: s.sparsify("**:Linear", ratio=0.3, scope="global")),
    ("llama", lambda s: s.narrow("model.layers", "heads", ratio=0.5)),
    ("llama", lambda s: (s.attach("**.q_proj", rank=2), s.fold("**.q_proj"))),
    ("llama", lambda s: s.cast("**", "bfloat16")),
    ("llama", lambda s: s.low_rank("model.layers[*].**:Linear", size=0.5)),
    ("gpt2", lambda s: s.low_rank("transformer.h[0].mlp.*:Conv1D", rank=5)),
    ("gpt2", lambda s: s.narrow("transformer.h.0", "neurons", ratio=0.5)),
    ("llama", lambda s: s.prune("model.layers", to="-10 %", by="magnitude")),
    ("llama", lambda s: s.narrow("**", "width", count=24)),
    ("gemma2", lambda s: s.narrow("**", "width", count=24)),
    ("mixtral", lambda s: s.prune("**", units="width", to="-20 %", by="magnitude", multiple=8)),
    ("mixtral", lambda s: s.remove("model.layers.0")),
    ("mixtral", lambda s: s.narrow("model.layers", "experts", count=2)),
    ("bert", lambda s: s.duplicate("bert.encoder.layer.1")),
    ("t5", lambda s: s.remove("decoder.block.2")),
    ("vit", lambda s: s.merge("vit.layers[0:2]")),
    ("resnet", lambda s: s.sparsify("**:Conv2d", ratio=0.5)),
    ("clip", lambda s: s.swap("vision_model.encoder.layers.0", "vision_model.encoder.layers.1")),
]


@pytest.mark.parametrize("name, edit", EDITS)
def test_streamed_equals_live(name: str, edit: Edit, tmp_path: Path) -> None:
    """The same files, manifest, script and fingerprints."""
    base = saved(name, tmp_path / "base")
    session = surgery.open(base)
    edit(session)
    live = session.save(tmp_path / "live")
    session.script.write(tmp_path / "edits.json")
    streamed = tmp_path / "streamed"
    made = surgery.replay(tmp_path / "edits.json", base, streamed, memory="50MB")
    assert made.is_skeleton
    assert tensors_in(streamed) == tensors_in(live)
    assert read_manifest(streamed) == read_manifest(live)
    for file in ("edits.surgery.json", "config.json"):
        assert (streamed / file).read_text() == (live / file).read_text()
    assert surgery.load(streamed)


def test_a_skeleton_is_saved_from_its_folder(tmp_path: Path) -> None:
    """In files of the size asked for; the session stays a skeleton."""
    base = saved("llama", tmp_path / "base")
    session = surgery.open(base, skeleton=True)
    session.remove("model.layers.0")
    out = session.save(tmp_path / "out", max_shard_size="20KB")
    expected = surgery.open(base)
    expected.remove("model.layers.0")
    assert len(list(out.glob("*.safetensors"))) > 1 and session.is_skeleton
    assert surgery.open(out).fingerprint() == expected.fingerprint() == read_manifest(out)["fingerprint"]


def test_a_script_made_without_weights_is_replayed_where_they_are(tmp_path: Path) -> None:
    """It has no fingerprints to compare with; the folder that comes of it has."""
    base = saved("llama", tmp_path / "base")
    session = surgery.open(base, skeleton=True)
    session.remove("model.layers.1")
    session.script.write(tmp_path / "edits.json")
    surgery.replay(tmp_path / "edits.json", base, tmp_path / "out", memory="50MB")
    live = surgery.replay(tmp_path / "edits.json", base)
    found = read_manifest(tmp_path / "out")["fingerprint"]
    assert found == live.fingerprint() == surgery.open(tmp_path / "out").fingerprint()


def test_another_base_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    """Its content is compared as it is read, that of removed blocks too."""
    base = saved("llama", tmp_path / "base")
    session = surgery.open(base)
    session.remove("model.layers.1")
    session.script.write(tmp_path / "edits.json")
    tensors = load_file(base / "model.safetensors")
    name = next(key for key in tensors if "layers.1." in key)
    tensors[name] = tensors[name] + 1
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(SurgeryError, match="made on another model: the content differs"):
        surgery.replay(tmp_path / "edits.json", base, tmp_path / "out", memory="50MB")
    assert not (tmp_path / "out").exists()


def test_another_result_is_refused(tmp_path: Path) -> None:
    """Bits are promised for one build and device."""
    base = saved("llama", tmp_path / "base")
    session = surgery.open(base)
    session.remove("model.layers.1")
    script = tmp_path / "edits.json"
    session.script.write(script)
    found = str(session.script.result)
    script.write_text(script.read_text().replace(found, "sha256:" + "0" * 64))
    with pytest.raises(SurgeryError, match="the result is not the one recorded"):
        surgery.replay(script, base, tmp_path / "out", memory="50MB")
    assert not (tmp_path / "out").exists()


def test_the_folder_that_is_read_is_not_written_over(tmp_path: Path) -> None:
    """Its steps would be applied to their own result the next time."""
    base = saved("llama", tmp_path / "base")
    session = surgery.open(surgery.open(base).save(tmp_path / "ours"), skeleton=True)
    session.remove("model.layers.0")
    with pytest.raises(SurgeryError, match="is the folder that the weights are read from"):
        session.save(tmp_path / "ours", overwrite=True)


def test_a_parent_that_is_replaced_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its tensors are read whole."""
    base, parent = saved("llama", tmp_path / "base"), saved("llama", tmp_path / "parent")
    session = surgery.open(base, skeleton=True)
    session.merge("**.mlp.up_proj", parents=[str(parent)], weights=(0.5, 0.5))
    session.sparsify("**.mlp.up_proj", ratio=0.3)
    plain, file = tiles.compute, parent / "model.safetensors"

    def whole(*words: Any) -> torch.Tensor:
        made = plain(*words)
        if not (tmp_path / "moved").exists():
            shutil.copy(file, tmp_path / "moved")
            os.utime(tmp_path / "moved", ns=(1, 1))
            os.replace(shutil.copy(tmp_path / "moved", tmp_path / "other"), file)
        return made

    monkeypatch.setattr(tiles, "compute", whole)
    with pytest.raises(SurgeryError, match=r"parent.*was changed while it was read"):
        session.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_measured_steps_need_no_data(tmp_path: Path) -> None:
    """What was measured lies beside the script."""
    model = ATLAS["cnn"]()
    session = surgery.open(*model)
    session.data = [model[1]]
    session.recalibrate("**:BatchNorm2d")
    session.script.write(tmp_path / "edits.json")
    weights = tmp_path / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model[0].state_dict().items()}, weights)
    skeleton = surgery.open(weights, model[1], into=model[0], skeleton=True)
    for step in surgery.Script.read(tmp_path / "edits.json").steps:
        skeleton.apply(step)
    out = skeleton.save(tmp_path / "out")
    assert read_manifest(out)["fingerprint"] == session.fingerprint()


CASES: list[tuple[dict[str, Any], str]] = [
    ({"memory": "1GB"}, "is written somewhere"),
    ({"memory": "much", "out": "out"}, "memory is no size"),
    ({"memory": "1GB", "out": "out", "plain": True}, "cannot be made plain"),
]


@pytest.mark.parametrize("fields, said", CASES)
def test_what_cannot_be_streamed_is_refused(
    fields: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence."""
    monkeypatch.chdir(tmp_path)
    base = saved("llama", tmp_path / "base")
    session = surgery.open(base)
    session.remove("model.layers.1")
    with pytest.raises(SurgeryError, match=said):
        surgery.replay(session.script, base, **fields)
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """A config alone has nothing to save."""
    session = surgery.open(saved("llama", tmp_path / "base") / "config.json")
    with pytest.raises(SurgeryError, match="opened without weights has none to measure or save"):
        session.save(tmp_path / "out")


def test_a_module_in_the_notebook_has_no_files(tmp_path: Path) -> None:
    """Its weights are in memory, or nowhere."""
    session = surgery.open(nn.Linear(3, 3), torch.ones(1, 3), skeleton=True)
    with pytest.raises(SurgeryError, match="opened without weights has none to measure or save"):
        session.save(tmp_path / "out")
