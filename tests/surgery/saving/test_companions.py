"""What lies beside the weights goes with them: tokenizer, processors, templates, licence, no more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

import surgery
from surgery.demo import DECODER
from surgery.quiet import quiet
from surgery.sources import transformers as sources
from tests.zoo.families import DECODERS

CARRIED = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    *("chat_template.jinja", "additional_chat_templates/tools.jinja"),
    *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"),
    *("LICENSE", "NOTICE.txt"),
)
LEFT = (
    *("modeling_own.py", "pytorch_model.bin", "weights.pt", "optimizer.safetensors", "training_args.bin"),
    *("notes.txt", "original/params.json", "onnx/model.onnx", "trainer_state.json", "LICENSE.py"),
)
EDITS: dict[str, Callable[[surgery.Session], Any]] = {
    "ordinary": lambda session: session.remove("model.layers[3]"),
    "special": lambda session: session.tie("model.layers.5", to="model.layers.4"),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The demonstration decoder with everything a folder can have beside its weights."""
    folder = tmp_path / "source"
    shutil.copytree(DECODER, folder)
    for name in (*CARRIED, *LEFT):
        (folder / name).parent.mkdir(exist_ok=True)
        if not name.startswith("tokenizer") or name.endswith(".model"):
            (folder / name).write_text("{}" if name.endswith(".json") else f"this is {name}")
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file by its path in the folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_carried_and_what_is_not(edit: str, source: Path, tmp_path: Path) -> None:
    """Byte for byte what is known, nothing that is not; what a save writes itself is its own."""
    session = surgery.open(source)
    EDITS[edit](session)
    before = files_in(source)
    found = files_in(session.save(tmp_path / "out"))
    for name in CARRIED:
        assert found.pop(name) == before[name], name
    weights = "model.safetensors" if edit == "ordinary" else "surgery.safetensors"
    own = {
        "README.md",
        "config.json",
        "edits.surgery.json",
        "generation_config.json",
        "surgery.json",
        weights,
    }
    assert set(found) == own
    assert files_in(source) == before
    again = surgery.open(tmp_path / "out").save(tmp_path / "again")
    assert {name for name in CARRIED if (again / name).is_file()} == set(CARRIED)
    session.save(tmp_path / "out", overwrite=True)


def test_links_that_lead_out_are_not_followed(source: Path, tmp_path: Path) -> None:
    """A name from a list does not make somebody's file a part of the model."""
    secret = tmp_path / "secret"
    secret.write_text("mine")
    for name in ("vocab.json", "chat_template.jinja", "LICENSE"):
        (source / name).unlink()
        (source / name).symlink_to(secret)
    shutil.rmtree(source / "additional_chat_templates")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "tools.jinja").write_text("mine")
    (source / "additional_chat_templates").symlink_to(tmp_path / "elsewhere")
    (source / "merges.txt").unlink()
    (source / "merges.txt").mkdir()
    found = files_in(surgery.open(source).save(tmp_path / "out"))
    assert not {"vocab.json", "chat_template.jinja", "LICENSE", "merges.txt"} & set(found)
    assert b"mine" not in found.values()


def test_a_snapshot_of_the_hub_is_all_links(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the cache every file is a link into the model's blobs: these are carried along."""
    cache = tmp_path / "models--someone--model"
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for number, file in enumerate(sorted(path for path in source.iterdir() if path.is_file())):
        file.rename(cache / "blobs" / str(number))
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", str(number)))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(snapshot))
    session = surgery.Session(sources.from_hub("someone/model"))
    found = files_in(session.save(tmp_path / "out"))
    assert {name for name in CARRIED if "/" not in name} <= set(found)
    assert not set(LEFT) & set(found)


def test_a_tokenizer_known_by_its_family_only(tmp_path: Path) -> None:
    """Old folders do not name its class; where our config does not say the family it is written anew."""
    model, _ = DECODERS["gpt2"]()
    source = tmp_path / "source"
    with quiet():
        model.save_pretrained(source)  # type: ignore[operator]
    letters = ["<|endoftext|>", *"abcdefg", "ab", "Ġ"]
    (source / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
    (source / "merges.txt").write_text("#version: 0.2\na b\n")
    expected = transformers.AutoTokenizer.from_pretrained(source)("abca bd").input_ids
    session = surgery.open(source)
    plain = session.save(tmp_path / "plain")
    session.tie("transformer.h.1", to="transformer.h.0")
    special = session.save(tmp_path / "special")
    assert len(expected) > 4
    for folder in (plain, special):
        assert transformers.AutoTokenizer.from_pretrained(folder)("abca bd").input_ids == expected


def test_processors_load(source: Path, tmp_path: Path) -> None:
    """A feature extractor is found in the folder that needs `surgery.load`, too."""
    transformers.WhisperFeatureExtractor(feature_size=13).save_pretrained(source)
    session = surgery.open(source)
    session.tie("model.layers.5", to="model.layers.4")
    folder = session.save(tmp_path / "out")
    assert transformers.AutoFeatureExtractor.from_pretrained(folder).feature_size == 13


def test_generation_settings_are_the_sessions(tmp_path: Path) -> None:
    """Also such as transformers would not write: what the model was opened with is what is kept."""
    model: Any = DECODERS["llama"]()[0]
    model.generation_config.temperature = 0.3
    model.generation_config.do_sample = False
    session = surgery.open(model)
    folder = session.save(tmp_path / "out")
    assert transformers.GenerationConfig.from_pretrained(folder).temperature == 0.3
    loaded: Any = surgery.load(folder)
    assert loaded.generation_config.temperature == 0.3
