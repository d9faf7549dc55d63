"""`reparameterize`: branches of convolutions and norms over one tensor are one convolution, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import surgery
from surgery.modules.passing import Silent
from tests.surgery.rewriting.models import (
    RepVgg,
    branch,
    computes_the_same,
    lived,
    of_the_atlas,
    refused,
)
from tests.surgery.states import loads_again

IMAGE: Any = (torch.randn(2, 4, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),)


class Two(nn.Module):
    """Two branches added; `kind` says how else they are used."""

    def __init__(self, one: nn.Module, two: nn.Module, kind: str = "") -> None:
        super().__init__()
        self.one, self.two, self.kind = one, two, kind

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.one(x), self.two(x.relu() if self.kind == "inputs" else x)
        if self.kind == "read":
            return a + b + a.sin()
        if self.kind == "inplace":
            a += b
            return a
        return x + a + b if self.kind == "residual" else a + b


def opened(model: nn.Module) -> surgery.Session:
    """A session on a model of float64 that has lived."""
    return surgery.open(lived(model.double()), IMAGE)


def folded(sequence: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution with its norm, by the formula."""
    conv, norm = sequence
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # type: ignore[operator]
    return conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale  # type: ignore[operator,index]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_kernel_is_that_of_the_formula(groups: int) -> None:
    """Fold(3×3) + fold(1×1 in the middle) + fold(identity); biases are added; the others give zero."""
    s = opened(RepVgg(groups=groups))
    block = s.model
    (dense, bias), (point, more) = folded(block.dense), folded(block.point)
    scale = block.identity.weight / (block.identity.running_var + block.identity.eps).sqrt()
    eye = torch.zeros(4, 4 // groups, 3, 3).double()
    for channel in range(4):
        eye[channel, channel % (4 // groups), 1, 1] = scale[channel]
    expected = dense + F.pad(point, (1, 1, 1, 1)) + eye
    biases = bias + more + block.identity.bias - block.identity.running_mean * scale
    state = s.reparameterize()
    assert torch.allclose(s.model.dense[0].weight, expected, atol=1e-14)
    assert torch.allclose(s.model.dense[0].bias, biases, atol=1e-14)
    assert isinstance(s.model.point, Silent) and isinstance(s.model.identity, Silent)
    computes_the_same(s)
    assert state.proof is not None and state.proof.error is not None and state.proof.error < 1e-14


@pytest.mark.parametrize(
    "model",
    [
        RepVgg(stride=2),
        nn.Sequential(RepVgg(), RepVgg(groups=2)),
        Two(branch(6, 3, 1), branch(6, (1, 3), (0, 1))),
        Two(branch(6, 3, 1, dilation=1), branch(6, 3, 1)),
        Two(nn.Conv2d(4, 6, 5, padding=2), nn.Conv2d(4, 6, 1, bias=False)),
        Two(nn.Conv2d(4, 6, 3, padding=2, dilation=2), branch(6, 1, 0)),
        Two(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), "residual"),
        Two(branch(6, 3, 1), branch(6, 1, 0), "inplace"),
    ],
    ids=["strided", "two", "asymmetric", "alike", "no norms", "dilated", "residual", "in place"],
)
def test_branches_of_many_kinds(model: nn.Module) -> None:
    """Strides, several blocks, one-sided kernels, equal ones, plain convolutions, a residual."""
    s = opened(model)
    before = s.preview("reparameterize")
    s.reparameterize()
    assert before.after.parameters < before.before.parameters
    computes_the_same(s)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Two(branch(6, 3, 1), branch(6, 1, 0, stride=1), "inputs"), "contains no branches"),
        (Two(branch(6, 3, 1), branch(6, 1, 0), "read"), "contains no branches"),
        (
            Two(branch(4, 3, 1), branch(4, 1, 0, groups=2)),
            r"two.1: does not fit .*one.0; got groups 2, not 1",
        ),
        (
            Two(branch(4, 3, 1, stride=3), nn.Conv2d(4, 4, 1, 3, padding=1)),
            r"kernel \(1, 1\) padded by \(1, 1\) beside \(3, 3\) by \(1, 1\)",
        ),
        (Two(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), branch(4, 1, 0)), "padding circular"),
    ],
    ids=["inputs", "read", "groups", "corner", "circular"],
)
def test_what_does_not_fit_is_left(model: nn.Module, sentence: str) -> None:
    """Branches of other inputs, read elsewhere, or whose kernels do not lie in one another."""
    refused(opened(model), sentence, "reparameterize")


def test_tied_branches_are_refused() -> None:
    """A weight that another convolution has too."""
    model = Two(branch(4, 3, 1), branch(4, 3, 1))
    model.two[0].weight = model.one[0].weight  # type: ignore[index,union-attr]
    refused(opened(model), r"one.0.weight: is tied.*got two.0.weight", "reparameterize")


def test_a_network_without_branches() -> None:
    """A residual network has no such sums: its shortcuts are no norms."""
    refused(surgery.open(*of_the_atlas("cnn")), "contains no branches", "reparameterize")


def test_a_shortcut_of_a_residual_network_is_no_branch() -> None:
    """What is behind a ReLU reads another tensor than the shortcut."""
    refused(surgery.open(*of_the_atlas("resnet18")), "contains no branches", "reparameterize")


def test_saved_and_loaded(tmp_path: Path) -> None:
    """The folder's script makes the branches anew without example inputs."""
    s = opened(RepVgg())
    s.reparameterize()
    loads_again(s, tmp_path / "out", into=RepVgg().double())
