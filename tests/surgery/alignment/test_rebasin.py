"""Git Re-Basin: a permuted copy is recovered, the parent's function stays, what does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

import surgery
from surgery import SurgeryError
from surgery.quiet import quiet
from tests.surgery.alignment.test_permute import double
from tests.surgery.contract import MODELS
from tests.surgery.states import run
from tests.zoo import ATLAS
from tests.zoo.channels import CHANNELS

ZOO = MODELS | ATLAS | CHANNELS
BOTH = {"targets": "", "statistics": "average"}


def permuted(name: str, folder: Path) -> str:
    """A copy of the model with all units in another order, in a folder."""
    session = surgery.open(*ZOO[name]())
    session.permute("**", seed=3)
    return str(session.save(folder / "permuted"))


@pytest.mark.parametrize("name", ["llama", "gpt2", "vit", "cnn", "resnet18", "unet", "encoder"])
def test_a_permuted_copy_is_recovered_exactly(name: str, tmp_path: Path) -> None:
    """The mean with it is the model, bit for bit, while the plain mean is another."""
    parent = permuted(name, tmp_path)
    model, inputs = ZOO[name]()
    session = surgery.open(model, inputs)
    before = session.fingerprint()
    session.soup(parents=[parent], **BOTH)
    assert session.fingerprint() != before
    session.undo()
    session.rebasin(parents=[parent], **BOTH)
    assert session.fingerprint() == before


@pytest.mark.parametrize("name", ["gpt2", "resnet18", "vit"])
def test_the_function_of_the_parent_stays(name: str, tmp_path: Path) -> None:
    """At t = 1 the model is the parent in another order: its outputs, in float64, and other weights."""
    model, inputs = ZOO[name]()
    model, inputs = model.double(), double(inputs)
    other, _ = ZOO[name]()
    drawn, other = torch.Generator().manual_seed(5), other.double()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=drawn).double()
    parent = surgery.open(other, inputs).save(tmp_path / "other")
    session = surgery.open(model, inputs)
    session.rebasin("", parents=[str(parent)], t=1.0, statistics="parents")
    assert torch.allclose(run(session.model, inputs), run(other, inputs), rtol=1e-10, atol=1e-10)
    made, theirs = dict(session.model.named_parameters()), dict(other.named_parameters())
    assert any(not torch.equal(made[path], theirs[path]) for path in made)


def test_the_mean_is_that_of_gathered_tensors(tmp_path: Path) -> None:
    """A small network by hand: rows in, columns out, weighed by t."""
    torch.manual_seed(0)
    mine, theirs = (nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)) for _ in range(2))
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    session = surgery.open(mine, (torch.randn(4, 3),))
    session.rebasin("", parents=[str(tmp_path)], t=0.25)
    order = session.script.steps[0].measured.tensors["0"]
    a, b = mine.state_dict(), theirs.state_dict()
    expected = {
        "0.weight": 0.75 * a["0.weight"] + 0.25 * b["0.weight"][order],
        "0.bias": 0.75 * a["0.bias"] + 0.25 * b["0.bias"][order],
        "2.weight": 0.75 * a["2.weight"] + 0.25 * b["2.weight"][:, order],
        "2.bias": 0.75 * a["2.bias"] + 0.25 * b["2.bias"],
    }
    assert sorted(order.tolist()) == list(range(6)) and order.tolist() != list(range(6))
    for name, tensor in session.model.state_dict().items():
        assert torch.allclose(tensor, expected[name], atol=1e-7)


def test_statistics_move_with_their_channels(tmp_path: Path) -> None:
    """Running statistics of the parent are averaged in the order of its channels."""
    parent = permuted("resnet18", tmp_path)
    session = surgery.open(*ZOO["resnet18"]())
    before = dict(session.model.named_buffers())
    session.rebasin("", parents=[parent], statistics="parents")
    for name, buffer in session.model.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_a_replay_searches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orders are in the script's sidecar: a streamed replay gives the same bits."""
    parent = permuted("llama", tmp_path)
    model, _ = ZOO["llama"]()
    with quiet():
        model.save_pretrained(tmp_path / "base")
    session = surgery.open(tmp_path / "base")
    session.rebasin("", parents=[parent], t=0.3)
    script = session.script.write(tmp_path / "edits.surgery.json")
    monkeypatch.setattr("surgery.operations.merging.rebasin.match", None)
    surgery.replay(script, tmp_path / "base", out=tmp_path / "out")
    assert surgery.open(tmp_path / "out").fingerprint() == session.fingerprint()


def test_one_part_of_the_model(tmp_path: Path) -> None:
    """Only what lies whole in the targets moves: the neurons of an MLP, not the width around it."""
    parent = permuted("llama", tmp_path)
    session = surgery.open(*ZOO["llama"]())
    session.rebasin("model.layers[1].mlp", parents=[parent])
    found = session.script.steps[0].found.data
    assert [group["path"] for group in found] == ["model.layers.1.mlp.gate_proj"]


def llama(folder: Path, **changes: Any) -> str:
    """A small decoder of another shape, in a folder."""
    config = ZOO["llama"]()[0].config.to_dict() | changes
    with quiet():
        LlamaForCausalLM(LlamaConfig.from_dict(config)).save_pretrained(folder / "other")
    return str(folder / "other")


def test_refused(tmp_path: Path) -> None:
    """Parents of another architecture, with the path at which they part; parts of groups; two parents."""
    session = surgery.open(*ZOO["llama"]())
    wider = llama(tmp_path / "a", intermediate_size=64)
    with pytest.raises(SurgeryError, match=r"^model\.layers\.0\.mlp\.gate_proj\.weight: the shapes differ"):
        session.rebasin("", parents=[wider])
    deeper = llama(tmp_path / "b", num_hidden_layers=5)
    with pytest.raises(SurgeryError, match=r"^model\.layers\.4\..* a tensor that the model lacks"):
        session.rebasin("", parents=[deeper])
    parent = permuted("llama", tmp_path)
    with pytest.raises(SurgeryError, match=r"norm: holds no group of units as a whole.* Try: .*soup"):
        session.rebasin("model.norm", parents=[parent])
    with pytest.raises(SurgeryError, match="rebasin merges with one parent; got 2"):
        session.rebasin("", parents=[parent, parent])
    assert not session.script.steps


def test_without_scipy_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package that solves assignments is no part of every installation."""
    parent = permuted("tied_head", tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    with pytest.raises(SurgeryError, match=r"matched with scipy.* Try: `pip install scipy`"):
        surgery.open(*ZOO["tied_head"]()).rebasin("", parents=[parent])


def test_its_chart_shows_what_alignment_gains(tmp_path: Path) -> None:
    """A permuted copy is as like as can be once it is aligned, and was not before."""
    parent = permuted("tied_head", tmp_path)
    chart: Any = surgery.open(*ZOO["tied_head"]()).chart("rebasin", "", parents=[parent])
    before, aligned = chart.values
    assert aligned == pytest.approx([1.0] * 5)
    assert max(before) < 0.9
