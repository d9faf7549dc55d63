"""Configs without weights: objects, files, and those that name no class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import surgery
from graph.costs import costs
from surgery import SurgeryError
from tests.zoo import ATLAS

ALONE = "A config holds no weights: this is the structure alone."


def config_of(name: str) -> Any:
    """The config of a model of the atlas."""
    model: Any = ATLAS[name]()[0]
    return model.config


def test_a_config_object_is_a_skeleton_and_says_so() -> None:
    """Structure, figures and trace are those of the model; there are no weights to evaluate or save."""
    whole: Any = ATLAS["llama"]()[0]
    session = surgery.open(whole.config)
    assert session.is_skeleton and str(session.note).startswith(ALONE)
    assert (session.opened.name, session.opened.source) == ("llama", None)
    assert costs(session.graph) == costs(surgery.open(whole).graph)
    assert session.graph.problem is None


def test_the_config_given_stays_as_it_was() -> None:
    """Cutting a layer changes the session's config and not the object."""
    config = config_of("llama")
    before = config.to_dict()
    session = surgery.open(config)
    session.remove("model.layers[0]")
    assert config.to_dict() == before
    assert session.model.config.num_hidden_layers == before["num_hidden_layers"] - 1  # type: ignore[union-attr]


CLASSES = {
    "llama": "LlamaForCausalLM",
    "bert": "BertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "t5": "T5ForConditionalGeneration",
    "bart": "BartForConditionalGeneration",
    "whisper": "WhisperForConditionalGeneration",
    "mamba": "MambaForCausalLM",
    "vit": "ViTModel",
    "clip": "CLIPModel",
    "sam": "SamModel",
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_config_that_names_no_class_stands_for_the_usual_one(name: str) -> None:
    """The language model of the family, else the model without a head; the note says which and why."""
    config = config_of(name)
    config.architectures = None
    opened = surgery.open(config).opened
    assert type(opened.model).__name__ == CLASSES[name]
    kind = config.model_type
    assert f"Its config names no class: it was built as {CLASSES[name]}, usual for {kind}." in str(
        opened.note
    )


def test_a_part_of_a_model_is_opened_by_its_config() -> None:
    """No table of transformers lists a text tower; its class is called as its config is."""
    session = surgery.open(config_of("clip").text_config)
    assert type(session.model).__name__ == "CLIPTextModel"
    assert session.graph.problem is None


def test_the_class_a_config_names_is_built() -> None:
    """And nothing is said of the class."""
    config = config_of("llama")
    config.architectures = ["LlamaForSequenceClassification"]
    session = surgery.open(config)
    assert type(session.model).__name__ == "LlamaForSequenceClassification"
    assert session.note == ALONE


@pytest.mark.parametrize("name", ["config.json", "small.json"])
def test_a_config_file(tmp_path: Path, name: str) -> None:
    """By its name or by what it says; a script made on it replays on it."""
    (tmp_path / name).write_text(json.dumps(config_of("llama").to_dict()))
    session = surgery.open(tmp_path / name)
    assert session.is_skeleton and str(session.note).startswith(ALONE)
    session.remove("model.layers[0]")
    again = surgery.replay(session.script)
    assert again.graph.by_path.keys() == session.graph.by_path.keys()


def test_a_folder_with_a_config_alone(tmp_path: Path) -> None:
    """A skeleton, which says so."""
    (tmp_path / "config.json").write_text(json.dumps(config_of("vit").to_dict()))
    session = surgery.open(tmp_path)
    assert session.is_skeleton and "The folder holds no weights" in str(session.note)
    assert session.graph.problem is None and session.graph.calls


def test_code_that_a_config_brings_is_not_run(tmp_path: Path) -> None:
    """Where transformers has the class itself it is taken, and the note says so; else it is refused."""
    data = config_of("llama").to_dict() | {"auto_map": {"AutoModelForCausalLM": "modeling.LlamaForCausalLM"}}
    (tmp_path / "modeling.py").write_text("raise SystemExit('ran')")
    (tmp_path / "config.json").write_text(json.dumps(data | {"architectures": ["LlamaForCausalLM"]}))
    note = str(surgery.open(tmp_path).note)
    assert "The code it brings is not run: transformers' own LlamaForCausalLM was taken." in note
    (tmp_path / "config.json").write_text(json.dumps(data | {"architectures": ["LlamaForMusic"]}))
    with pytest.raises(SurgeryError, match="brings code of its own, which is not run"):
        surgery.open(tmp_path)


BROKEN: dict[str, tuple[str, str]] = {
    "no JSON": ("{", r"config\.json: cannot be read as JSON"),
    "no text": ("\xff", r"config\.json: cannot be read as JSON"),
    "too deep": ("[" * 100_000, r"config\.json: cannot be read as JSON"),
    "no object": ("[]", r"config\.json: is no config; got list"),
    "nothing in it": ("{}", "names no class, and its model_type stands for none"),
    "unknown type": (
        '{"model_type": "llama9"}',
        "names no class, and its model_type stands for none .*got 'llama9'",
    ),
    "type is no text": ('{"model_type": ["llama"]}', "names no class, and its model_type stands for none"),
    "unknown class": ('{"architectures": ["NoSuchModel"]}', "names no model class .*got NoSuchModel"),
    "class is no text": ('{"architectures": [1]}', "names no model class"),
    "classes are no list": ('{"architectures": "LlamaForCausalLM"}', "architectures is no list"),
    "function for a class": ('{"architectures": ["pipeline"]}', "names no model class"),
    "part of a pipeline": (
        '{"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.30"}',
        "part of a diffusers pipeline.*got UNet2DConditionModel",
    ),
    "does not fit": (
        '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": "wide"}',
        "cannot build LlamaForCausalLM from it",
    ),
    "cannot be": (
        '{"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 30, "num_attention_heads": 4}',
        "cannot build BertModel from it: ValueError",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("skeleton", [False, True])
def test_a_broken_config_is_one_sentence(tmp_path: Path, case: str, skeleton: bool) -> None:
    """What is wrong with it, with the file's place, on one line."""
    text, sentence = BROKEN[case]
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    for source in (tmp_path, tmp_path / "config.json"):
        with pytest.raises(SurgeryError, match=sentence) as refusal:
            surgery.open(source, skeleton=skeleton)
        assert "\n" not in str(refusal.value)
