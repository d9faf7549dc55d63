"""Saved folders: which load with transformers alone, which say why not, and what a reload gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import surgery
from graph.costs import costs
from surgery.demo import DECODER
from surgery.fingerprint import Fingerprinter

PROMPT = torch.arange(40).unsqueeze(0)


def manifest(folder: Path) -> dict[str, Any]:
    """The folder's surgery.json."""
    data: dict[str, Any] = json.loads((folder / "surgery.json").read_text())
    return data


PLAIN = {
    "remove": lambda s: s.remove("model.layers[2:4]"),
    "merge": lambda s: s.merge("model.layers[4:6]"),
    "sparsify": lambda s: s.sparsify("**:Linear", 0.5, "global"),
    "untie": lambda s: s.untie("lm_head"),
    "attach and fold": lambda s: (s.attach("**.q_proj"), s.fold()),
    "tie and untie": lambda s: (s.tie("model.layers.5", to="model.layers.4"), s.untie("model.layers.5")),
}


ALONE = """
import sys
import torch
from transformers import AutoModelForCausalLM

for folder in sys.argv[1:]:
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    expected = torch.load(f"{folder}/../logits.pt")
    assert torch.equal(model.eval()(torch.arange(40).unsqueeze(0)).logits, expected), folder
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), folder
"""


def test_ordinary_results_load_with_transformers_alone(tmp_path: Path) -> None:
    """A fresh process that knows nothing of surgery gives equal logits and no word of missing weights."""
    for edit, make in PLAIN.items():
        session = surgery.open("demo")
        make(session)
        session.save(tmp_path / edit / "out")
        found = manifest(tmp_path / edit / "out")
        assert found["loads_with"] == "transformers", (edit, found["because"])
        torch.save(session.model(PROMPT).logits, tmp_path / edit / "logits.pt")
    folders = [str(tmp_path / edit / "out") for edit in PLAIN]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *folders], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "newly initialized" not in done.stderr


SPECIAL = {
    "tie": (lambda s: s.tie("model.layers.5", to="model.layers.4"), "tied to model.layers.4"),
    "attach": (lambda s: s.attach("**.q_proj"), "LoraLinear"),
}


@pytest.mark.parametrize("edit", SPECIAL)
def test_other_results_say_why_they_need_surgery(edit: str, tmp_path: Path) -> None:
    """The reason names the path; surgery.load gives the model."""
    session = surgery.open("demo")
    SPECIAL[edit][0](session)
    folder = session.save(tmp_path / "out")
    assert SPECIAL[edit][1] in manifest(folder)["because"]
    assert SPECIAL[edit][1] in (folder / "README.md").read_text()
    loaded = surgery.load(folder)
    assert torch.equal(loaded(PROMPT).logits, session.model(PROMPT).logits)
    assert Fingerprinter()(loaded) == session.fingerprint()


def test_names_on_disk_need_not_be_those_in_memory(tmp_path: Path) -> None:
    """ViT is stored under older names than it has in memory: it saves, loads and opens all the same."""
    from transformers import ViTConfig, ViTForImageClassification

    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = ViTForImageClassification(ViTConfig(**small, image_size=16, patch_size=8)).eval()
    session = surgery.open(model, {"pixel_values": torch.zeros(1, 3, 16, 16)})
    session.sparsify("**:Linear", 0.5)
    session.save(tmp_path / "out")
    assert Fingerprinter()(surgery.load(tmp_path / "out")) == session.fingerprint()


def test_a_foreign_file_in_a_special_folder_is_refused(tmp_path: Path) -> None:
    """Where surgery itself fills the slots, a tensor that is missing is named."""
    session = surgery.open("demo")
    session.tie("model.layers.5", to="model.layers.4")
    folder = session.save(tmp_path / "out")
    save_file({"a": torch.zeros(2)}, folder / "surgery.safetensors")
    with pytest.raises(surgery.SurgeryError, match="lacks a tensor of the model"):
        surgery.load(folder)


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    """A model cut by hand, its config left behind, is refused with the place that would differ."""
    model = surgery.open("demo").opened.model
    del model.model.layers[5:]
    session = surgery.open(model)
    with pytest.raises(surgery.SurgeryError, match="could not be loaded again"):
        session.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_saved_folder_opens_for_more_surgery(tmp_path: Path) -> None:
    """Ties and adapters of an earlier save are there, and what is saved from there loads too."""
    first = surgery.open("demo")
    first.tie("model.layers.5", to="model.layers.4")
    first.attach("model.layers.0.self_attn.q_proj", rank=2)
    first.save(tmp_path / "first")
    second = surgery.open(tmp_path / "first")
    assert second.fingerprint() == first.fingerprint()
    assert second.opened.tokenizer is not None
    second.remove("model.layers.1")
    second.fold()
    script = second.script.write(tmp_path / "more.surgery.json")
    second.save(tmp_path / "second")
    assert Fingerprinter()(surgery.load(tmp_path / "second")) == second.fingerprint()
    assert surgery.replay(script).fingerprint() == second.fingerprint()


def test_a_skeleton_has_the_structure_and_its_folder_the_weights(tmp_path: Path) -> None:
    """Opened without weights, a model shows the same graph, records steps, and is saved from its folder."""
    session, whole = surgery.open("demo", skeleton=True), surgery.open("demo")
    assert session.is_skeleton
    seen = [costs(opened.graph) for opened in (session, whole)]
    assert seen[0] == seen[1] and session.graph.calls == whole.graph.calls
    session.remove("model.layers[3]")
    assert session.script.base.fingerprint is None
    replayed = surgery.replay(surgery.Script.from_json(session.script.to_json()), DECODER)
    whole.remove("model.layers[3]")
    assert replayed.fingerprint() == whole.fingerprint()
    assert surgery.open(session.save(tmp_path / "out")).fingerprint() == whole.fingerprint()


def test_merging_with_parents(tmp_path: Path) -> None:
    """Each tensor is Σ wθ over the checkpoints, ties stay, and a parent that changed later is noticed."""
    parent = surgery.open("demo")
    parent.sparsify("**:Linear", 0.5)
    parent.save(tmp_path / "parent")
    session = surgery.open("demo")
    base = {name: tensor.clone() for name, tensor in session.model.state_dict().items()}
    session.merge("**", parents=[str(tmp_path / "parent")], weights=[0.25, 0.75])
    theirs = parent.model.state_dict()
    for name, tensor in session.model.state_dict().items():
        assert torch.equal(tensor, base[name] * 0.25 + theirs[name] * 0.75), name
    assert session.model.get_parameter("lm_head.weight") is session.model.get_parameter(
        "model.embed_tokens.weight"
    )
    script = surgery.Script.from_json(session.script.to_json())
    assert surgery.replay(script).fingerprint() == session.fingerprint()
    session.save(tmp_path / "child")
    assert Fingerprinter()(surgery.load(tmp_path / "child")) == session.fingerprint()
    parent.sparsify("**:Linear", 0.9)
    parent.save(tmp_path / "parent", overwrite=True)
    with pytest.raises(surgery.SurgeryError, match="is not the one that was recorded"):
        surgery.replay(script)


def test_parents_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Another depth is named by a tensor that only one of them has; the session stays as it was."""
    shallow = surgery.open("demo")
    shallow.remove("model.layers[3]")
    shallow.save(tmp_path / "shallow")
    session = surgery.open("demo")
    before = session.fingerprint()
    with pytest.raises(surgery.SurgeryError, match=r"model\.layers\.9.*lacks the tensor"):
        session.merge("**", parents=[str(tmp_path / "shallow")])
    assert session.fingerprint() == before
    deep = surgery.open(tmp_path / "shallow")
    with pytest.raises(surgery.SurgeryError, match="the model lacks"):
        deep.merge("**", parents=[str(DECODER)])
