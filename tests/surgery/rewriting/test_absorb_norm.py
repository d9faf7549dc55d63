"""`absorb_norm`: what a norm multiplies and adds goes into every linear layer that reads it, or stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery.adapters.lora import is_transposed
from surgery.checkpoint.manifest import read_manifest
from surgery.rewriting.norms import Norm, norm_of
from tests.surgery.rewriting.models import (
    computes_the_same,
    lived,
    of_the_atlas,
    refused,
    streamed_equals_live,
)
from tests.surgery.states import run

X: Any = (torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),)


class _Readers(nn.Module):
    """A norm that two linear layers read, one with a bias; `kind` says what else there is."""

    def __init__(self, kind: str = "") -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.left, self.right = nn.Linear(6, 4, bias=False), nn.Linear(6, 4)
        self.kind, self.embed = kind, nn.Embedding(4, 6)
        if kind == "tied":
            self.left.weight = self.embed.weight
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.drop(self.norm(x)).view(1, -1, 6)
        made = self.left(y) + self.right(y)
        if self.kind == "sum":
            return made + y[..., :4]
        if self.kind == "other":
            return made + self.left(x)
        return made


def opened(kind: str = "") -> surgery.Session:
    """A session on the model above in float64."""
    return surgery.open(lived(_Readers(kind).double()), X)


def test_weights_and_biases_are_those_of_the_formula() -> None:
    """W is W diag(γ) and b is b + Wβ, with the W of before, in both readers; a bias is made."""
    s = opened()
    gain, shift, left, right = (
        s.model.norm.weight,
        s.model.norm.bias,
        s.model.left.weight,
        s.model.right.weight,
    )
    bias = s.model.right.bias + right @ shift
    s.absorb_norm("norm")
    assert torch.allclose(s.model.left.weight, left @ torch.diag(gain), rtol=1e-14)
    assert torch.allclose(s.model.right.weight, right @ torch.diag(gain), rtol=1e-14)
    assert torch.allclose(s.model.left.bias, left @ shift, atol=1e-15)
    assert torch.allclose(s.model.right.bias, bias, atol=1e-15)
    assert torch.equal(s.model.norm.weight, torch.ones(6).double())
    assert torch.equal(s.model.norm.bias, torch.zeros(6).double())
    computes_the_same(s)


def test_a_norm_of_torch_may_have_nothing_left() -> None:
    """With `affine="none"` it has no parameters, and computes the same."""
    s = opened()
    s.absorb_norm("norm", affine="none")
    assert not list(s.model.norm.parameters()) and s.model.norm.eps == 1e-5
    computes_the_same(s)


def test_a_norm_that_torch_reads_past_its_call_keeps_its_weight() -> None:
    """An encoder layer's fast path takes the weights of its norms; `simplify` leaves them."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False)
    s = surgery.open(nn.Sequential(encoder, nn.Linear(8, 3)).eval(), (torch.randn(2, 5, 8),))
    sentence = r"0.layers.1.norm2: cannot be without a weight, since TransformerEncoderLayer reads it"
    refused(s, sentence, "absorb_norm", targets="0.layers.1.norm2", affine="none")
    before = run(s.model, s.opened.inputs)
    s.simplify()
    assert s.model.get_submodule("0.norm").weight is None
    assert torch.allclose(run(s.model, s.opened.inputs), before, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "count"),
    [("gemma3", 12), ("mixtral", 3), ("t5", 15)],
)
def test_families_of_the_zoo(name: str, count: int) -> None:
    """Every norm that linear layers alone read: Gemma's, T5's, and of a mixture those before attention."""
    s = surgery.open(*of_the_atlas(name))
    state = s.absorb_norm()
    assert len(state.step.found.data) == count  # type: ignore[union-attr]
    assert state.proof is not None and state.proof.error is not None
    assert state.proof.error < 1e-14 and state.proof.rounding < 1e-5


def test_gemma_is_left_with_zeros() -> None:
    """Its norms multiply by 1 + γ: readers get W diag(1 + γ), and γ becomes 0."""
    s = surgery.open(*of_the_atlas("gemma3"))
    gain = s.model.model.layers[0].input_layernorm.weight
    expected = (s.model.model.layers[0].self_attn.q_proj.weight.double() * (1 + gain.double())).float()
    s.absorb_norm("model.layers[0].input_layernorm")
    made = s.model.model.layers[0]
    assert torch.equal(made.self_attn.q_proj.weight, expected)
    assert not made.input_layernorm.weight.any()


def test_conv1d_is_scaled_by_rows() -> None:
    """GPT-2 stores inputs × outputs."""
    s = surgery.open(*of_the_atlas("gpt2"))
    gain, reader = s.model.transformer.h[0].ln_1.weight, s.model.transformer.h[0].attn.c_attn
    assert is_transposed(reader)
    expected = (gain.double()[:, None] * reader.weight.double()).float()
    s.absorb_norm("transformer.h[0].ln_1")
    assert torch.equal(s.model.transformer.h[0].attn.c_attn.weight, expected)


def test_transformers_loads_what_it_can_say(tmp_path: Path) -> None:
    """Ones in the norms and biases that were there before: the folder is an ordinary one."""
    s = surgery.open(*of_the_atlas("vit"))
    s.absorb_norm()
    assert read_manifest(s.save(tmp_path / "out"))["loads_with"] == "transformers"


def test_a_tied_head_is_refused() -> None:
    """The last norm's reader is the embedding too: both are named, and `untie` lets it go."""
    s = surgery.open(*of_the_atlas("gpt2"))
    sentence = r"lm_head.weight: is tied.*got transformer.wte.weight.*Try: `untie\(\"lm_head\"\)` first"
    refused(s, sentence, "absorb_norm", targets="transformer.ln_f")
    s.untie("lm_head")
    s.absorb_norm("transformer.ln_f")
    refused(
        surgery.open(*of_the_atlas("tied_head")),
        r"norm: is read by a function with a weight that others have too; got linear .* embed.weight",
        "absorb_norm",
        targets="norm",
    )


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("sum", r"norm: is also read by what is no linear layer; got getitem in the model"),
        ("other", r"left: reads norm, and in another call something else; got the model's input"),
        ("tied", r"left.weight: is tied.*got embed.weight"),
    ],
)
def test_what_others_read_stays(kind: str, sentence: str) -> None:
    """A residual, a reader of something else as well, a tied reader: each by its path."""
    refused(opened(kind), sentence, "absorb_norm")


def test_adapters_come_first() -> None:
    """A layer under an adapter reads the norm in two places; the hint says how to go on."""
    s = surgery.open(*of_the_atlas("llama"))
    s.attach("model.layers[0].self_attn.q_proj")
    sentence = r"input_layernorm: .*Try: `fold\(\"model.layers.0.self_attn.q_proj\"\)` or `detach"
    refused(s, sentence, "absorb_norm", targets="model.layers[0].input_layernorm")


def test_a_norm_of_a_class_of_its_own_keeps_its_weight() -> None:
    """Transformers' norms cannot be without one."""
    s = surgery.open(*of_the_atlas("llama"))
    sentence = r"cannot be without a weight; got LlamaRMSNorm.*Try: `affine=\"ones\"`"
    refused(s, sentence, "absorb_norm", targets="**.input_layernorm", affine="none")


class _Plus(nn.RMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x, (6,), 1 + self.weight, 1e-6)  # type: ignore[operator]


class _Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(x * self.weight, -1)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.LayerNorm(6), Norm(centred=True, offset=0.0)),
        (nn.RMSNorm(6, eps=1e-3), Norm(centred=False, offset=0.0)),
        (_Plus(6), Norm(centred=False, offset=1.0)),
        (_Odd(), None),
        (nn.BatchNorm1d(6), None),
        (nn.Linear(6, 6), None),
        (nn.PReLU(6), None),
    ],
    ids=lambda item: type(item).__name__,
)
def test_a_norm_is_known_by_what_it_computes(module: nn.Module, expected: Norm | None) -> None:
    """Whatever its class; on meta as well, since its own values are not looked at."""
    assert norm_of(module.eval()) == expected
    assert norm_of(module.to("meta")) == expected


def test_streamed_is_live(tmp_path: Path) -> None:
    """Piece by piece it gives the same bits, new biases among them."""
    streamed_equals_live("neox", lambda s: s.absorb_norm(), tmp_path)
