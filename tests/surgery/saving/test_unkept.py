"""What a folder cannot hold is said when it is written, and in its card."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery.errors import SurgeryWarning
from surgery.fingerprint import Fingerprinter
from tests.zoo.families import DECODERS


def test_cast_buffers_are_told(tmp_path: Path) -> None:
    """After `.bfloat16()` the rotary frequencies are cast too, which no reload repeats: the card says so."""
    model = surgery.open("demo").opened.model.bfloat16()
    session = surgery.open(model)
    session.remove("model.layers[3]")
    with pytest.warns(SurgeryWarning, match=r"model\.rotary_emb\.inv_freq.* had been cast") as told:
        folder = session.save(tmp_path / "out")
    assert told[0].filename == __file__
    assert "model.rotary_emb.inv_freq" in (folder / "README.md").read_text()
    assert Fingerprinter()(surgery.load(folder)) == session.fingerprint()


@pytest.mark.parametrize(
    "kind", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"]
)
@pytest.mark.parametrize("plain", [False, True])
def test_hooks_are_told(kind: str, plain: bool, tmp_path: Path) -> None:
    """A hook is code of the user's: the place is named, and a reload runs without it."""
    model, inputs = DECODERS["llama"]()
    ran = []
    getattr(model.get_submodule("model.layers.1.mlp"), kind)(lambda *_: ran.append(True))
    session = surgery.open(model, inputs)
    session.tie("model.layers.3", to="model.layers.2")
    with pytest.warns(SurgeryWarning, match=r"^model\.layers\.1\.mlp: hooks that were registered") as told:
        folder = session.save(tmp_path / "out", plain=plain)
    assert told[0].filename == __file__ and len(told) == 1
    assert "model.layers.1.mlp: hooks" in (folder / "README.md").read_text()
    ran.clear()
    loaded: Any = surgery.load(folder)
    loaded(**inputs).logits.sum().backward()
    assert not ran


def test_hooks_of_transformers_own_are_not(tmp_path: Path) -> None:
    """It hooks the blocks when hidden states are asked for; a reload does so again."""
    model: Any
    model, inputs = DECODERS["llama"]()
    model(**inputs, output_hidden_states=True)
    session = surgery.open(model, inputs)
    assert any(module._forward_hooks for module in session.model.modules())
    with warnings.catch_warnings():
        warnings.simplefilter("error", SurgeryWarning)
        session.save(tmp_path / "out")


def test_hooks_that_the_module_brings_again_are_not(tmp_path: Path) -> None:
    """A module of one's own is loaded into one like it, which has its hooks."""
    module = nn.Sequential(nn.Linear(2, 2))
    module[0].register_forward_hook(lambda *_: None)
    session = surgery.open(module, (torch.zeros(1, 2),))
    with warnings.catch_warnings():
        warnings.simplefilter("error", SurgeryWarning)
        session.save(tmp_path / "out")
