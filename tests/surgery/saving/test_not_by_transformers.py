"""A folder that needs `surgery.load`: transformers opens nothing else out of it, and says what would."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import surgery
from surgery.fingerprint import Fingerprinter
from surgery.quiet import quiet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration decoder with two blocks tied."""
    session = surgery.open("demo")
    session.tie("model.layers.5", to="model.layers.4")
    return session.save(tmp_path_factory.mktemp("special") / "out")


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """No parameter may be made: a default model would be one of seven billion."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("transformers makes a model out of the folder")

    monkeypatch.setattr(nn.Module, "__init__", refuse)


AUTO = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForSequenceClassification", "pipeline")
CLASSES = ("LlamaForCausalLM", "LlamaModel", "GPT2LMHeadModel", "BertModel", "ViTForImageClassification")


@pytest.mark.parametrize("name", [*AUTO, *CLASSES])
@pytest.mark.usefixtures("no_weights")
def test_every_way_of_loading_names_surgery_load(folder: Path, name: str) -> None:
    """Auto classes, pipelines, the model's own class and others make no model and say what loads it."""
    load: Any = transformers.pipeline if name == "pipeline" else getattr(transformers, name).from_pretrained
    with pytest.raises((ValueError, OSError), match=r"surgery\.load\(folder\)"), quiet():
        load("text-generation", folder) if name == "pipeline" else load(folder)


def test_even_with_a_right_config_no_weights_are_found(folder: Path) -> None:
    """Who brings a config past ours does not half-load the tensors."""
    config = surgery.open("demo").opened.model.config
    with pytest.raises(OSError, match=r"no file named model\.safetensors"), quiet():
        transformers.LlamaForCausalLM.from_pretrained(folder, config=config)


def test_tokenizer_and_generation_settings_load(folder: Path) -> None:
    """What transformers can read of the folder alone is the source's."""
    ours, theirs = surgery.open("demo").opened.tokenizer, transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs("def f(x):").input_ids == ours("def f(x):").input_ids
    assert transformers.GenerationConfig.from_pretrained(folder).pad_token_id == 0


def test_folders_of_earlier_versions_load(folder: Path, tmp_path: Path) -> None:
    """They have no config.json, and their weights lie in model.safetensors."""
    old = shutil.copytree(folder, tmp_path / "old")
    (old / "config.json").unlink()
    (old / "surgery.safetensors").rename(old / "model.safetensors")
    assert Fingerprinter()(surgery.load(old)) == Fingerprinter()(surgery.load(folder))
    assert surgery.open(old).fingerprint() == surgery.open(folder).fingerprint()


def test_modules_without_transformers_are_kept_out_too(tmp_path: Path) -> None:
    """A plain module's folder is no Llama either."""
    session = surgery.open(nn.Sequential(nn.Linear(3, 2)), (torch.zeros(1, 3),))
    folder = session.save(tmp_path / "out")
    with pytest.raises(ValueError, match=r"surgery\.load\(folder\)"), quiet():
        transformers.LlamaForCausalLM.from_pretrained(folder)
    loaded = surgery.load(folder, into=nn.Sequential(nn.Linear(3, 2)))
    assert Fingerprinter()(loaded) == session.fingerprint()
