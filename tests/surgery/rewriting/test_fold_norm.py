"""`fold_norm`: a batch norm goes into the layer before it, exactly, or it stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery import SurgeryError
from tests.surgery.rewriting.models import (
    computes_the_same,
    lived,
    of_the_atlas,
    refused,
    streamed_equals_live,
)

IMAGE = (torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1)),)


def opened(model: nn.Module, inputs: object = IMAGE) -> surgery.Session:
    """A session on a model of float64 that has lived."""
    return surgery.open(lived(model.double()), tuple(tensor.double() for tensor in inputs))  # type: ignore[attr-defined]


def test_weight_and_bias_are_those_of_the_formula() -> None:
    """W is γ / √(σ² + ε) times what it was, b is (b − μ) γ / √(σ² + ε) + β; a bias is made where none was."""
    s = opened(nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6, eps=0.1)))
    conv, norm = s.model[0], s.model[1]
    scale = norm.weight / (norm.running_var + 0.1).sqrt()
    weight, bias = conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
    s.fold_norm("1")
    assert torch.allclose(s.model[0].weight, weight, rtol=1e-14)
    assert torch.allclose(s.model[0].bias, bias, rtol=1e-13)
    assert isinstance(s.model[1], nn.Identity)
    computes_the_same(s)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.Conv2d(4, 8, 3, groups=4, padding=2, padding_mode="circular", bias=False),
        nn.ConvTranspose2d(4, 6, 2, 2),
        nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False),
    ],
    ids=["strided", "grouped", "transposed", "transposed-grouped"],
)
@pytest.mark.parametrize("affine", [True, False])
def test_any_convolution_takes_its_norm(layer: nn.Module, affine: bool) -> None:
    """Grouped, strided, transposed, with a bias or without, with an affine norm or a bare one."""
    width: int = layer.out_channels  # type: ignore[assignment]
    s = opened(nn.Sequential(layer, nn.BatchNorm2d(width, affine=affine)))
    state = s.fold_norm()
    computes_the_same(s)
    assert state.proof is not None and state.proof.error is not None and state.proof.error < 1e-14


def test_linear_layers_and_lengths() -> None:
    """A linear layer takes a norm over features."""
    s = opened(nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5)), (torch.randn(4, 6),))
    s.fold_norm()
    computes_the_same(s)


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_networks_of_the_zoo(name: str) -> None:
    """All norms of a residual network go; in its own float32 outputs move by rounding alone."""
    s = surgery.open(*of_the_atlas(name))
    before = sum(isinstance(module, nn.BatchNorm2d) for module in s.model.modules())
    state = s.fold_norm()
    assert before and not any(isinstance(module, nn.BatchNorm2d) for module in s.model.modules())
    assert state.proof is not None and state.proof.error is not None
    assert state.proof.error < 1e-14 and state.proof.rounding < 1e-5


def test_half_precision_moves_more() -> None:
    """The proof says what the kept step did in the model's own bfloat16: thousandths."""
    model = lived(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))).bfloat16()
    proof = surgery.open(model, (IMAGE[0].bfloat16(),)).fold_norm().proof
    assert proof is not None and proof.error is not None and proof.dtype == "bfloat16"
    assert proof.error < 1e-14 and 1e-4 < proof.rounding < 0.05


class _Twice(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv, self.norm, self.kind = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), kind
        self.other = nn.Conv2d(4, 4, 1)
        if kind == "tied":
            self.other.weight = self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.kind == "skip":
            return self.norm(y) + y
        if self.kind == "again":
            return self.norm(y) + self.conv(y)
        if self.kind == "norm":
            return self.norm(y) + self.norm(self.other(y))
        return self.norm(y) + self.other(x)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("skip", r"conv: what it gives is also read without the norm; got add"),
        ("again", r"conv: is called more than once"),
        ("norm", r"norm: is not called exactly once; got 2 calls"),
        ("tied", r"conv.weight: is tied.*got other.weight.*Try: `untie\(\"conv\"\)` first"),
    ],
)
def test_what_others_read_stays(kind: str, sentence: str) -> None:
    """Where the layer's result, its weight or the norm is used once more, folding would change that too."""
    refused(opened(_Twice(kind)), sentence, "fold_norm", targets="norm")


def test_a_norm_before_a_padded_convolution_stays() -> None:
    """Zeros at the border would not be normalised any more, so that is refused, and says so."""
    s = opened(nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1)))
    refused(s, r"0: follows no convolution or linear layer, and into 1, which pads with zeros", "fold_norm")


def test_of_a_container_those_go_that_can() -> None:
    """The first norm stays, the second goes; named by itself the first is refused."""
    s = opened(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)))
    refused(s, "0: follows no convolution", "fold_norm", targets="**:BatchNorm2d")
    s.fold_norm()
    assert isinstance(s.model[0], nn.BatchNorm2d) and isinstance(s.model[3], nn.Identity)
    computes_the_same(s)


def test_norms_that_go_by_the_batch_stay() -> None:
    """Without running statistics, or in training mode, a norm is no fixed map."""
    s = opened(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)))
    refused(s, "1: keeps no running statistics", "fold_norm")
    s = surgery.open(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)).train(), IMAGE)
    refused(s, r"1: is in training mode.*Try: `s.model.eval\(\)` first", "fold_norm")


def test_nothing_to_fold_and_nothing_to_run() -> None:
    """A model without batch norms, and one without example inputs, are refused with the way out."""
    s = opened(nn.Sequential(nn.Conv2d(4, 6, 3)))
    refused(s, r"\*\*: is and contains no batch norm; got Sequential, Conv2d.$", "fold_norm")
    with pytest.raises(SurgeryError, match=r'0: is and .*; got Conv2d. Try: `"\*\*"`'):
        s.fold_norm(targets="0")
    s = surgery.open(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)).eval())
    refused(s, r"no example inputs.*Try: `surgery.open\(model, inputs\)`", "fold_norm")


def test_a_reloaded_folder_needs_no_inputs(tmp_path: Path) -> None:
    """What was found is in the script, so that the structure is made anew on a model in training mode too."""
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))
    s = opened(model)
    s.fold_norm()
    s.save(tmp_path / "out")
    again = surgery.load(tmp_path / "out", into=nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)).double())
    assert torch.equal(again(*s.opened.inputs), s.model(*s.opened.inputs))


def test_streamed_is_live(tmp_path: Path) -> None:
    """Statistics come out of the files like weights: the same bits piece by piece."""
    streamed_equals_live("resnet", lambda s: s.fold_norm(), tmp_path)
