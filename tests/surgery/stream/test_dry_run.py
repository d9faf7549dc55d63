"""A dry run says what a replay will write, reads only headers and writes nothing."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import LlamaConfig, LlamaForCausalLM

import surgery
from surgery import SurgeryError
from surgery.cli import main
from surgery.dry_run import dry_run
from surgery.show.outlook import outlook_lines
from surgery.stream.reading import Reader
from surgery.tracing import Tracing
from tests.surgery.stream.sparse import sparse_checkpoint
from tests.surgery.stream.test_streamed_replay import EDITS, Edit, saved


@pytest.mark.parametrize("name, edit", EDITS[1::2])
def test_it_says_what_is_written(
    name: str, edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files of the same sizes with the same tensors, and the bytes that are read for them."""
    base = saved(name, tmp_path / "base")
    session = surgery.open(base)
    edit(session)
    script = session.script.write(tmp_path / "edits.json")
    found = dry_run(script, base, max_shard_size="20KB")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "edits.json"]
    read: list[int] = []
    plain = Reader._read

    def counting(self: Reader, *words: Any) -> torch.Tensor:
        tensor = plain(self, *words)
        read.append(tensor.nbytes)
        return tensor

    monkeypatch.setattr(Reader, "_read", counting)
    out = tmp_path / "out"
    surgery.replay(script, base, out, memory="50MB", max_shard_size="20KB")
    assert found.files == {file.name: file.stat().st_size for file in out.glob("*.safetensors")}
    assert found.read_bytes + found.further_bytes == sum(read)
    for tensor in found.tensors:
        with safe_open(out / tensor.file, "pt") as opened:
            there = opened.get_tensor(tensor.name)
        assert (tuple(there.shape), f"torch.{tensor.dtype}") == (tensor.shape, str(there.dtype))
        assert there.nbytes == tensor.size_bytes


def test_lines_of_a_small_plan(tmp_path: Path) -> None:
    """A tensor of a file, a function over two, and the total."""
    base = saved("llama", tmp_path / "base")
    session = surgery.open(base, skeleton=True)
    session.tie("model.layers.1.mlp.up_proj", to="model.layers.0.mlp.up_proj", start="average")
    lines = [*outlook_lines(dry_run(session.script, base))]
    assert lines[0].startswith("surgery.safetensors  ")
    norm = "model.layers.0.input_layernorm.weight"
    source = f"from base/model.safetensors: {norm}"
    assert f"  {norm}  32 float32  128 B read, 128 B written, 128 B of memory  {source}" in lines
    mean = [line for line in lines if line.startswith("  model.layers.0.mlp.up_proj.weight")]
    assert len(mean) == 1 and mean[0].count("model.safetensors: model.layers.") == 2 and "(" in mean[0]
    assert lines[-1].startswith(f"{len(lines) - 2} tensors in 1 file: ")


def test_what_a_replay_refuses_is_refused(tmp_path: Path) -> None:
    """Too little memory, a place that is taken, a script for another class."""
    base = saved("llama", tmp_path / "base")
    session = surgery.open(base, skeleton=True)
    session.remove("model.layers.0")
    with pytest.raises(SurgeryError, match="cannot be made in so little memory"):
        dry_run(session.script, base, memory=100)
    with pytest.raises(SurgeryError, match="exists and is not empty"):
        dry_run(session.script, base, base)
    with pytest.raises(SurgeryError, match="made on another model"):
        dry_run(session.script, saved("gpt2", tmp_path / "other"))


@pytest.fixture(scope="module")
def seventy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The size of Llama 3 70B in 30 files, without the bytes."""
    config = LlamaConfig(
        vocab_size=128256, hidden_size=8192, intermediate_size=28672, num_hidden_layers=80,
        num_attention_heads=64, num_key_value_heads=8, max_position_embeddings=131072,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("large") / "base"
    assert sparse_checkpoint(config, LlamaForCausalLM, folder, 30, torch.bfloat16) == 141_107_412_992
    assert len(list(folder.glob("*.safetensors"))) == 30
    return folder


def test_seventy_billion(
    seventy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the command: every tensor a line, soon, with no trace and nothing read of the tensors."""
    base = {"source": str(seventy), "class": "LlamaForCausalLM", "fingerprint": None}
    steps: list[dict[str, Any]] = [
        {"operation": "remove", "targets": "model.layers[30:40]"},
        {"operation": "sparsify", "targets": "model.layers[0:5].mlp", "ratio": 0.5},
    ]
    script = tmp_path / "edits.json"
    script.write_text(json.dumps({"format": "surgery-script", "version": 1, "base": base, "steps": steps}))

    def refuse(*_: object) -> None:
        raise AssertionError("not needed")

    monkeypatch.setattr(Tracing, "_extracted", refuse)
    monkeypatch.setattr(Reader, "_read", refuse)
    monkeypatch.setattr(sys, "argv", ["surgery", "replay", str(script), "--dry-run"])
    began_s = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        main()
    took_s = time.monotonic() - began_s
    lines = capsys.readouterr().out.splitlines()
    assert not ended.value.code
    per_block = 2 * 8192 * (8192 * 2 + 1024 * 2 + 28672 * 3 + 2)
    rest = 141_107_412_992 - 80 * per_block
    assert f"{3 + 70 * 9} tensors in " in lines[-1] and "124 GB written" in lines[-1]
    assert round((rest + 70 * per_block) / 10**9) == 124
    assert [path.name for path in tmp_path.iterdir()] == ["edits.json"]
    assert took_s < 10  # a second or so on a quiet machine


def test_options_that_write_are_refused_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It writes nothing, so there is nothing to go on with."""
    script = surgery.open("demo", skeleton=True).script.write(tmp_path / "edits.json")
    for words in (["--dry-run", "--resume"], ["--dry-run", "--check"], ["--check", "--reselect"]):
        monkeypatch.setattr(sys, "argv", ["surgery", "replay", str(script), *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2 and words[0] in capsys.readouterr().err
