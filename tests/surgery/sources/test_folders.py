"""Folders as transformers writes them, with and without weights, and the demonstration decoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import surgery
from graph.costs import costs
from surgery import SurgeryError
from surgery.demo import DECODER
from surgery.fingerprint import Fingerprinter
from tests.zoo import ZOO


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_folder_of_transformers(folder: Path, as_type: Any) -> None:
    """Weights, name and absolute source; in evaluation mode; without a tokenizer where there is none."""
    session = surgery.open(as_type(folder))
    assert session.fingerprint() == Fingerprinter()(ZOO["llama"]()[0])
    assert (session.opened.name, session.opened.source) == ("llama", str(folder.resolve()))
    assert not session.model.training and session.opened.tokenizer is None
    assert session.note is None


def test_a_relative_folder_keeps_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script made in one working folder replays in another."""
    monkeypatch.chdir(folder.parent)
    session = surgery.open("llama")
    session.remove("model.layers[0]")
    script = session.script
    monkeypatch.chdir("/")
    assert surgery.replay(script).fingerprint() == session.fingerprint()


def test_a_skeleton_reads_no_weights(folder: Path) -> None:
    """Only the config is needed: the file of weights may be foreign. What was asked for needs no note."""
    (folder / "model.safetensors").write_bytes(b"foreign")
    session = surgery.open(folder, skeleton=True)
    assert all(parameter.is_meta for parameter in session.model.parameters())
    assert session.graph.problem is None and session.note is None
    whole = surgery.open(*ZOO["llama"]()[:1], inputs=session.opened.inputs)
    assert costs(session.graph) == costs(whole.graph)


def test_a_folder_without_weights_is_a_skeleton_and_says_so(folder: Path) -> None:
    """A config alone shows everything but values; a script made on the weights refuses to replay there."""
    session = surgery.open(folder)
    session.remove("model.layers[0]")
    script = session.script
    (folder / "model.safetensors").unlink()
    bare = surgery.open(folder)
    assert bare.is_skeleton and bare.note == "The folder holds no weights: this is the structure alone."
    assert bare.graph.problem is None
    with pytest.raises(SurgeryError, match="the content differs"):
        surgery.replay(script)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("model.safetensors.index.json", r"model-1\.safetensors: the file is not there"),
        ("pytorch_model.bin", "holds a pickle, which is never loaded"),
        ("model.gguf", "holds no safetensors"),
    ],
)
def test_weights_that_cannot_be_read_are_no_reason_for_a_skeleton(
    folder: Path, name: str, sentence: str
) -> None:
    """A shard that is missing and weights of another kind are refused: the person had meant weights."""
    (folder / "model.safetensors").unlink()
    (folder / name).write_text(json.dumps({"weight_map": {"lm_head.weight": "model-1.safetensors"}}))
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(folder)


def test_a_repository_without_safetensors_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only safetensors are fetched, so a folder from the hub without them may have had weights."""
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    with pytest.raises(SurgeryError, match="holds no safetensors"):
        surgery.open("someone/llama")
    assert surgery.open("someone/llama", skeleton=True).opened.source == "someone/llama"


def test_demo_is_the_bundled_decoder() -> None:
    """By its name, wherever one is; scripts name it so too, and not by a place on this machine."""
    session = surgery.open("demo")
    assert (session.opened.name, session.base.source) == ("demo", "demo")
    assert session.fingerprint() == surgery.open(DECODER).fingerprint()
    assert session.opened.tokenizer is not None
