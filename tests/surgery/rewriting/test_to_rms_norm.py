"""`to_rms_norm`: who writes the residual stream centres it, and LayerNorms are RMSNorms then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery.modules.norms import ShiftedRMSNorm, without_centring
from tests.surgery.rewriting.models import (
    computes_the_same,
    lived,
    of_the_atlas,
    refused,
    streamed_equals_live,
)

IDS: Any = (torch.tensor([[1, 4, 2], [0, 3, 5]]),)


class _PreNorm(nn.Module):
    """Two blocks, positions, a head; `kind` says what else is wrong or odd."""

    def __init__(self, kind: str = "") -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(6, 8), nn.Parameter(torch.randn(3, 8))
        self.norms = nn.ModuleList(nn.LayerNorm(8, bias=number > 0) for number in range(3))
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.head, self.kind = nn.Linear(8, 6, bias=False), kind
        if kind == "tied head":
            self.head.weight = self.embed.weight
        if kind == "tied layers":
            self.layers[1].weight = self.layers[0].weight
        self.gain = nn.Parameter(torch.rand(8))

    def forward(self, ids: Tensor) -> Any:
        x = 0.5 * self.embed(ids) + self.place
        for norm, layer in zip(self.norms, self.layers, strict=False):
            made = layer(norm(x))
            x = x + (torch.relu(made) if self.kind == "relu" else made)
        if self.kind == "gain":
            x = x * self.gain
        out = self.head(self.norms[2](x))
        return (out, x) if self.kind == "returned" else out


def opened(kind: str = "") -> surgery.Session:
    """A session on the model above in float64."""
    torch.manual_seed(0)
    return surgery.open(lived(_PreNorm(kind).double()), IDS)


def test_writers_are_centred_by_the_formula() -> None:
    """E C for embedding and positions, C W and C b for the layers, with C = I − 11ᵀ/d; γ, β and ε stay."""
    s = opened()
    before, centre = s.model, torch.eye(8).double() - torch.full((8, 8), 1 / 8).double()
    rows = [before.embed.weight @ centre, before.place @ centre]
    columns = [(centre @ layer.weight, centre @ layer.bias) for layer in before.layers]
    norms = [(norm.weight, norm.bias, norm.eps) for norm in before.norms]
    s.to_rms_norm()
    made = s.model
    assert torch.allclose(made.embed.weight, rows[0], atol=1e-15)
    assert torch.allclose(made.place, rows[1], atol=1e-15)
    for layer, (weight, bias) in zip(made.layers, columns, strict=True):
        assert torch.allclose(layer.weight, weight, atol=1e-15)
        assert torch.allclose(layer.bias, bias, atol=1e-15)
    assert [type(norm) for norm in made.norms] == [nn.RMSNorm, ShiftedRMSNorm, ShiftedRMSNorm]
    assert [(norm.weight, getattr(norm, "bias", None), norm.eps) for norm in made.norms] == norms
    computes_the_same(s)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_the_new_norm_is_the_old_one_without_the_mean(bias: bool, affine: bool) -> None:
    """On vectors of mean 0 it gives what the LayerNorm gives."""
    norm = lived(nn.LayerNorm(6, eps=0.01, elementwise_affine=affine, bias=bias).double())
    assert isinstance(norm, nn.LayerNorm)
    x = torch.randn(4, 6, dtype=torch.float64)
    x -= x.mean(-1, keepdim=True)
    assert torch.allclose(without_centring(norm)(x), norm(x), atol=1e-14)


@pytest.mark.parametrize("name", ["neox", "clip"])
def test_families_of_the_zoo(name: str) -> None:
    """Parallel residuals, and two towers, one of patches with a class token."""
    s = surgery.open(*of_the_atlas(name))
    state = s.to_rms_norm()
    assert state.proof is not None and state.proof.error is not None
    assert state.proof.error < 5e-15 and state.proof.rounding < 1e-5


def test_gpt2_once_its_head_is_untied() -> None:
    """A tied head has to be untied first, and the hint says so."""
    s = surgery.open(*of_the_atlas("gpt2"))
    sentence = r"transformer.wte.weight: .*got lm_head.weight. Try: `untie\(\"lm_head\"\)` first"
    refused(s, sentence, "to_rms_norm")
    s.untie("lm_head")
    s.to_rms_norm()
    assert not any(type(module) is nn.LayerNorm for module in s.model.modules())


def test_tied_writers_are_centred_once() -> None:
    """Layers that share a weight share it afterwards too."""
    s = opened("tied layers")
    s.to_rms_norm()
    assert s.model.layers[0].weight is s.model.layers[1].weight
    computes_the_same(s)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (
            "tied head",
            r"embed.weight: writes the .* is tied .*got head.weight. Try: `untie\(\"head\"\)`",
        ),
        (
            "relu",
            r"\(root\): writes the residual stream, and is no embedding, linear layer or sum .* got relu",
        ),
        ("gain", r"norms\.\d: the residual stream .* read by what is no LayerNorm; got mul in the model"),
        (
            "returned",
            r"norms\.\d: the residual stream .* read by what is no LayerNorm; got what the model returns",
        ),
    ],
)
def test_what_cannot_be_centred_is_refused(kind: str, sentence: str) -> None:
    """Each by the path or function that is in the way."""
    refused(opened(kind), sentence, "to_rms_norm")


def test_a_stream_is_rewritten_whole() -> None:
    """One of its norms alone cannot be; the others are named."""
    refused(
        opened(),
        r"norms.1: reads the same residual stream, and is not among",
        "to_rms_norm",
        targets="norms.0",
    )


def test_post_norm_models_are_refused() -> None:
    """In BART a norm's result is in the stream itself."""
    refused(surgery.open(*of_the_atlas("bart")), "got LayerNorm", "to_rms_norm")


def test_streamed_is_live(tmp_path: Path) -> None:
    """Embeddings and layers are centred piece by piece to the same bits."""
    streamed_equals_live("vit", lambda s: s.to_rms_norm(), tmp_path)
