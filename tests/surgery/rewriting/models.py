"""Models of plain torch whose norms have seen something: no weight one, no bias zero."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import surgery
from surgery import SurgeryError
from surgery.fingerprint import Fingerprinter
from surgery.rewriting.double import outputs
from surgery.session import Session
from tests.zoo import ATLAS


def lived(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in evaluation mode, with norms and biases as after training: drawn, no ones and zeros."""
    drawn = torch.Generator().manual_seed(seed)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=drawn).to(like.dtype) * (high - low) + low

    for module in model.modules():
        named = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
        for name, tensor in named.items():
            if name == "running_var" or (tensor.dim() == 1 and name == "weight"):
                tensor.data = uniform(tensor, 0.5, 1.5)
            elif name in ("running_mean", "bias"):
                tensor.data = uniform(tensor, -0.5, 0.5)
    return model.eval()


def of_the_atlas(name: str) -> tuple[nn.Module, Any]:
    """A model of the atlas that has lived, and its inputs."""
    model, inputs = ATLAS[name]()
    return lived(model), inputs


def computes_the_same(session: Session, most: float = 1e-12) -> None:
    """In float64 the session's opened and edited models agree when the edit was made on float64 weights."""
    before = outputs(session.opened.model, session.opened.inputs)
    after = outputs(session.model, session.opened.inputs)
    for was, now in zip(before, after, strict=True):
        assert torch.allclose(was, now, rtol=0, atol=most * float(was.abs().max()))


def refused(session: Session, sentence: str, name: str, **fields: Any) -> SurgeryError:
    """The operation is refused with this sentence in it, and nothing has changed."""
    before = session.history.current
    with pytest.raises(SurgeryError, match=sentence) as caught:
        getattr(session, name)(**fields)
    assert session.history.current is before
    return caught.value


def streamed_equals_live(name: str, edit: Callable[[Session], Any], folder: Path) -> None:
    """A script made on a model of the atlas in files, replayed piece by piece, gives the live run's bits."""
    model, inputs = of_the_atlas(name)
    base = surgery.open(model, inputs).save(folder / "base")
    live = surgery.open(base, inputs)
    edit(live)
    script = live.script.write(folder / "edits.json")
    surgery.replay(script, base, folder / "out", inputs=inputs, memory="50MB", max_shard_size="8KB")
    assert Fingerprinter()(surgery.load(folder / "out")) == live.fingerprint()


def branch(width: int, kernel: Any, padding: Any, **more: Any) -> nn.Sequential:
    """A convolution with its norm."""
    conv = nn.Conv2d(4, width, kernel, padding=padding, bias=False, **more)
    return nn.Sequential(conv, nn.BatchNorm2d(width))


class RepVgg(nn.Module):
    """3 × 3, 1 × 1 and identity, each with a norm, as Ding et al. train them."""

    def __init__(self, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.dense = branch(4, 3, 1, stride=stride, groups=groups)
        self.point = branch(4, 1, 0, stride=stride, groups=groups)
        self.identity = nn.BatchNorm2d(4) if stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        beside = 0 if self.identity is None else self.identity(x)
        return F.relu(self.dense(x) + self.point(x) + beside)


def branched() -> tuple[nn.Module, Any]:
    """Two such blocks behind one another."""
    torch.manual_seed(0)
    model = nn.Sequential(RepVgg(), RepVgg(stride=2, groups=2))
    return lived(model), (torch.randn(2, 4, 8, 8),)
