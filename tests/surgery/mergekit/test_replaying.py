"""mergekit files are replayed where scripts are: by `surgery.replay` and by the command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

import surgery
from surgery.cli import app
from surgery.mergekit import is_file, read
from surgery.script import Script
from tests.surgery.mergekit.models import EMBEDDING, HEAD

TIES = """
merge_method: ties
base_model: base
models: [{model: one}, {model: two}]
parameters: {weight: 0.5, density: [0.2, 0.9]}
dtype: float32
out_dtype: bfloat16
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A mergekit file."""
    path = tmp_path / "config.yml"
    path.write_text(TIES)
    return path


def test_a_file_is_recognised_by_its_name() -> None:
    """Both endings of YAML."""
    assert [is_file(name) for name in ("a.yml", "a.YAML", Path("b.yaml"), "a.json", "yml", None)] == [
        *(True, True, True, False, False, False)
    ]


def test_replaying_saves_an_ordinary_model(config: Path, models: Path, tmp_path: Path) -> None:
    """With the dtype of the file in tensors and config, and the result of its steps."""
    session = surgery.replay(config, out=tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert loaded.dtype == torch.bfloat16
    for name, parameter in session.model.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter), name


def test_replaying_in_pieces_gives_the_same_bits(config: Path, models: Path, tmp_path: Path) -> None:
    """With a budget of memory."""
    session = surgery.replay(config, out=tmp_path / "whole")
    surgery.replay(config, out=tmp_path / "pieces", memory="1MB")
    streamed = load_file(tmp_path / "pieces" / "model.safetensors")
    assert streamed.keys() == dict(session.model.named_parameters()).keys()
    assert all(torch.equal(streamed[name], p) for name, p in session.model.named_parameters())


def test_the_command_takes_a_file(config: Path, models: Path, tmp_path: Path) -> None:
    """As it takes a script."""
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["replay", str(config), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "3 steps replayed on base" in done.output
    assert (out / "model.safetensors").is_file()


def test_a_script_made_of_a_file_can_be_kept(config: Path, models: Path, tmp_path: Path) -> None:
    """As JSON, with a base of no class; that of the result names class and content."""
    script = read(config)
    kept = script.write(tmp_path / "merge.surgery.json")
    assert Script.read(kept).steps == script.steps
    again, first = surgery.replay(kept), surgery.replay(config)
    assert again.fingerprint() == first.fingerprint()
    assert first.script.base.class_name == "LlamaForCausalLM"
    assert all(parent.fingerprint for step in first.steps[:2] for parent in step.parents)  # type: ignore[attr-defined]


def test_another_model_stands_in_for_the_base(config: Path, models: Path) -> None:
    """A folder, where the one in the file is not there, or a module."""
    config.write_text(TIES.replace("base_model: base", "base_model: gone"))
    with pytest.raises(surgery.SurgeryError, match="gone: there is no such folder"):
        surgery.replay(config)
    by_folder = surgery.replay(config, "base")
    by_module = surgery.replay(config, AutoModelForCausalLM.from_pretrained("base"))
    assert by_folder.fingerprint() == by_module.fingerprint()
    config.write_text(TIES)
    assert surgery.replay(config).fingerprint() == by_folder.fingerprint()


def test_a_tied_base_is_untied_for_a_head_of_its_own(models: Path, tmp_path: Path) -> None:
    """The saved model has both tensors, and a config that does not tie them."""
    config = tmp_path / "config.yml"
    config.write_text(
        "merge_method: linear\nmodels: [{model: tied}, {model: untied_one}]\nparameters: {weight: 1}\n"
    )
    surgery.replay(config, out=tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tied, other = (load_file(models / name / "model.safetensors") for name in ("tied", "untied_one"))
    assert loaded.config.tie_word_embeddings is False
    torch.testing.assert_close(loaded.get_parameter(HEAD), (tied[EMBEDDING] + other[HEAD]) / 2)
    torch.testing.assert_close(loaded.get_parameter(EMBEDDING), (tied[EMBEDDING] + other[EMBEDDING]) / 2)
