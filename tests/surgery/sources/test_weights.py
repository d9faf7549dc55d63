"""A weights file put into a module somebody holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.fingerprint import Fingerprinter
from tests.surgery.states import run, untouched
from tests.zoo import ZOO


def fingerprint(model: nn.Module) -> str:
    """The content of a model."""
    return Fingerprinter()(model)


def test_a_weights_file_into_a_module(tmp_path: Path) -> None:
    """The session has the file's values in the module's structure; the module keeps its own."""
    trained, given = nn.Linear(3, 2), nn.Linear(3, 2)
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    before = untouched(given)
    session = surgery.open(tmp_path / "w.safetensors", torch.zeros(1, 3), into=given)
    assert fingerprint(session.model) == fingerprint(trained)
    assert untouched(given) == before
    assert session.opened.source == str(tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["tied_head", "siamese", "cnn", "llama", "nested_lists"])
@pytest.mark.parametrize("kind", ["safetensors", "pickle"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_weights_file_keeps_ties(tmp_path: Path, name: str, kind: str) -> None:
    """Parameters that the module shares are shared afterwards; reused modules stay reused."""
    model, inputs = ZOO[name]()
    file = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_model(model, str(file))
    else:
        torch.save(model.state_dict(), file)
    into = ZOO[name]()[0]
    with torch.no_grad():
        for parameter in into.parameters():
            parameter.zero_()
    session = surgery.open(file, inputs, into=into)
    assert fingerprint(session.model) == fingerprint(model)
    assert [tie.paths for tie in session.graph.ties] == [
        tie.paths for tie in surgery.open(model, inputs).graph.ties
    ]
    if name != "nested_lists":
        assert torch.equal(run(session.model, inputs), run(model, inputs))


MISFITS: dict[str, tuple[dict[str, torch.Tensor], str]] = {
    "lacks": ({"weight": torch.zeros(2, 3)}, r"lacks .*\bbias\b"),
    "more": (
        {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "x": torch.zeros(1)},
        r"has no place for; got x",
    ),
    "shape": (
        {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)},
        r"weight: does not fit .*got \[3, 2\].* expected \[2, 3\]",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_weights_file_that_does_not_fit(tmp_path: Path, name: str) -> None:
    """The tensor that is missing, left over or of another shape is named."""
    tensors, sentence = MISFITS[name]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(tmp_path / "w.safetensors", into=nn.Linear(3, 2))


def test_an_absent_weights_file(tmp_path: Path) -> None:
    """It is named, and not looked for on the hub."""
    with pytest.raises(SurgeryError, match=r"absent\.safetensors: the file is not there"):
        surgery.open(tmp_path / "absent.safetensors", into=nn.Linear(3, 2))


def test_a_skeleton_of_a_weights_file(tmp_path: Path) -> None:
    """The module's structure without values: the file only has to be there."""
    (tmp_path / "w.safetensors").write_bytes(b"")
    session = surgery.open(tmp_path / "w.safetensors", torch.zeros(1, 3), into=nn.Linear(3, 2), skeleton=True)
    assert session.is_skeleton and session.graph.problem is None
    with pytest.raises(SurgeryError, match="the file is not there"):
        surgery.open(tmp_path / "absent.safetensors", into=nn.Linear(3, 2), skeleton=True)
