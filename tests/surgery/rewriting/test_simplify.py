"""`s.simplify()`: every exact rewrite that leaves fewer parameters, and the reasons for what stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import surgery
from surgery import SurgeryError
from tests.surgery.rewriting.models import branched, computes_the_same, lived, of_the_atlas
from tests.surgery.states import snapshot
from tests.surgery.test_cli import Command, command

__all__ = ["command"]


def test_branches_and_norms_go_in_one_call() -> None:
    """Branches become one convolution, the norm that is left goes into it; steps are ordinary ones."""
    model, (image,) = branched()
    whole = lived(nn.Sequential(model, nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)), 1).double()
    s = surgery.open(whole, (image.double(),))
    before = snapshot(s.model)
    found = s.simplify()
    assert [state.step.name for state in found.done if state.step] == ["reparameterize", "fold_norm"]
    assert not found.left and found.after.parameters < found.before.parameters
    assert not any(isinstance(module, nn.BatchNorm2d) for module in s.model.modules())
    assert "parameters (-" in str(found) and "in float64" in str(found)
    computes_the_same(s)
    s.undo(), s.undo()
    assert snapshot(s.model) == before


def test_norms_of_torch_lose_their_weights_where_that_saves() -> None:
    """Those that linear layers alone read; the one behind which the embedding is read stays, by name."""
    s = surgery.open(*of_the_atlas("tied_head"))
    found = s.simplify()
    assert [state.step.name for state in found.done if state.step] == ["absorb_norm"]
    assert found.before.parameters - found.after.parameters == 4 * 2 * 16
    assert [(left.operation, left.path) for left in found.left] == [("absorb_norm", "norm")]
    assert "left: norm: is read by a function" in str(found)


def test_a_bias_that_costs_more_is_not_made() -> None:
    """A norm with a bias before wide layers without one: absorbed, the model would be larger."""
    wide = lived(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 64, bias=False)))
    found = surgery.open(wide, (torch.randn(2, 4),)).simplify()
    assert not found.done and "absorb_norm would leave as many parameters, or more" in str(found)


def test_transformers_keep_their_norms() -> None:
    """What their class makes cannot be without a weight: it is said, and the folder stays an ordinary one."""
    found = surgery.open(*of_the_atlas("vit")).simplify()
    assert not found.done and "`absorb_norm` leaves ones in them" in str(found)


def test_what_cannot_go_is_said() -> None:
    """A norm before its convolution, and branches that do not fit, with the reasons."""
    model = lived(nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6)))
    found = surgery.open(model, (torch.randn(1, 4, 6, 6),)).simplify()
    assert len(found.done) == 1
    assert "left: 0: follows no convolution or linear layer, and into 1, which pads" in str(found)


def test_without_inputs_it_is_refused() -> None:
    """Nothing is known of what reads what."""
    with pytest.raises(SurgeryError, match=r"no example inputs.*surgery.open\(model, inputs\)"):
        surgery.open(nn.Sequential(nn.Linear(2, 2))).simplify()


def test_on_the_command_line(command: Command, tmp_path: Path) -> None:
    """`surgery simplify` says what it did, writes the script and a folder that holds fewer tensors."""
    script, out = tmp_path / "edits.surgery.json", tmp_path / "out"
    done = command("simplify", "demo-cnn", "--script", script, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "s.fold_norm" in done.stdout and "14,338 → 14,202 parameters (-136)" in done.stdout
    assert [step["operation"] for step in json.loads(script.read_text())["steps"]] == ["fold_norm"]
    tensors = [name for file in out.glob("*.safetensors") for name in load_file(file)]
    assert "stem.0.bias" in tensors and not any("running" in name for name in tensors)
