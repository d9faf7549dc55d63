"""What is no model is named for what it is, in one sentence with the way out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from tests.zoo import ZOO

FOLDERS: dict[str, tuple[dict[str, str], str]] = {
    "empty": ({}, "holds no model: it is empty"),
    "something else": ({"cat.jpg": "", "dog.jpg": ""}, r"holds no model; got cat\.jpg, dog\.jpg"),
    "a diffusers pipeline": (
        {"model_index.json": "{}", "unet": ""},
        r"several models\. Try: `surgery\.open\(pipeline\.unet",
    ),
    "an adapter": (
        {"adapter_config.json": '{"base_model_name_or_path": "someone/base"}'},
        "holds an adapter and not the model it adapts; got an adapter of someone/base",
    ),
    "a broken adapter": ({"adapter_config.json": "{"}, "holds an adapter and not the model"),
    "GGUF": ({"q4.gguf": ""}, r"holds no model: q4\.gguf is a GGUF file"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_holds_no_model(tmp_path: Path, case: str) -> None:
    """It says what is there instead."""
    files, sentence = FOLDERS[case]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(tmp_path)


FILES = {
    "weights.safetensors": r"does not say what the model is\. Try: `surgery\.open\(file, into=module\)`",
    "weights.pt": "does not say what the model is",
    "model.GGUF": r"is a GGUF file and no PyTorch model\. Try: the folder it was made from",
    "model.onnx": "is an ONNX graph",
    "net.py": r'which function makes the model is not said\. Try: `surgery\.open\("module:function"\)`',
    "data.json": "does not say what the model is",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_model_by_itself(tmp_path: Path, name: str) -> None:
    """By its kind."""
    (tmp_path / name).write_text("")
    with pytest.raises(SurgeryError, match=FILES[name]):
        surgery.open(tmp_path / name)


def test_an_edit_script_is_replayed_and_not_opened(tmp_path: Path) -> None:
    """It is told apart from a config."""
    session = surgery.open(*ZOO["llama"]())
    file = session.script.write(tmp_path / "edits.surgery.json")
    with pytest.raises(SurgeryError, match=r"is an edit script\. Try: `surgery\.replay\(script\)`"):
        surgery.open(file)


class _Pipeline(SimpleNamespace):
    """Holds a model, as pipelines and trainers do."""


OBJECTS: list[tuple[Any, str]] = [
    (42, "got int"),
    (None, "got NoneType"),
    ("", "got str"),
    (b"demo", "got bytes"),
    (torch.zeros(2), "got Tensor"),
    (nn.Linear, r"got the class Linear, .*an object of it: `surgery\.open\(Linear\(\.\.\.\)\)`"),
    ({"weight": torch.zeros(2)}, r"got dict of tensors, .*`surgery\.open\(file, into=module\)`"),
    (_Pipeline(model=nn.Linear(2, 2)), r"the module in it: `surgery\.open\(_pipeline\.model\)`"),
    (len, r"what it makes: `surgery\.open\(len\(\.\.\.\)\)`"),
]


@pytest.mark.parametrize(("source", "sentence"), OBJECTS)
def test_an_object_that_is_no_model(source: Any, sentence: str) -> None:
    """Its type is named, and what could be meant."""
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(source)


@pytest.mark.parametrize(
    "source",
    [
        "/absent/folder",
        "./absent",
        "~nobody-of-this-name/model",
        "a/b/c",
        "x" * 10_000,
        "nul\0byte",
        Path("absent"),
    ],
)
def test_a_place_that_is_not_there(source: Any) -> None:
    """One sentence, and nothing is asked of the network for what is written as a place."""
    with pytest.raises(SurgeryError) as refusal:
        surgery.open(source)
    assert "\n" not in str(refusal.value)
