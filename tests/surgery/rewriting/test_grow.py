"""`grow`: copies of blocks that add zero, so the deeper model computes the very same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery.checkpoint.manifest import read_manifest
from tests.surgery.contract import MODELS
from tests.surgery.rewriting.models import lived, of_the_atlas, refused
from tests.surgery.states import run
from tests.zoo.families import DECODERS, STAGES

X: Any = (torch.randn(3, 6, generator=torch.Generator().manual_seed(1)),)


class _Block(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.norm, self.inner, self.kind = nn.LayerNorm(6), nn.Linear(6, 6), kind
        self.out = nn.Linear(6, 6)
        if kind == "tied":
            self.inner.weight = self.out.weight
        self.gain = nn.Parameter(torch.rand(6))

    def forward(self, x: Tensor) -> Tensor:
        made = self.out(torch.relu(self.inner(self.norm(x))))
        if self.kind == "scaled":
            return x + self.gain * made
        if self.kind == "late":
            return x + torch.relu(made)
        if self.kind == "post":
            return self.norm(x + made)
        if self.kind == "normed":
            return x + self.norm(made)
        if self.kind == "twice":
            return x + (x + made)
        return x + made


class _Blocks(nn.Module):
    def __init__(self, kind: str = "") -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(kind) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def opened(kind: str = "") -> surgery.Session:
    """A session on three blocks of a kind."""
    torch.manual_seed(0)
    return surgery.open(lived(_Blocks(kind)), X)


@pytest.mark.parametrize(
    "maker",
    [DECODERS["gemma2"], DECODERS["falcon"], STAGES["convnext"], STAGES["swin"]],
    ids=["gemma2", "falcon", "convnext", "swin"],
)
def test_families_compute_the_same_bits(maker: Any) -> None:
    """Norms behind projections, parallel residuals, scales per channel, shifted windows."""
    model, inputs = maker()
    s = surgery.open(lived(model), inputs)
    before = run(s.model, inputs)
    lists = {"model.layers", "transformer.h", "convnext.encoder.stages.1.layers"}
    lists |= {"swin.encoder.layers.1.blocks"}
    path = next(path for path, _ in s.model.named_modules() if path in lists)
    count = len(s.model.get_submodule(path))  # type: ignore[arg-type]
    state = s.grow(f"{path}[1]")
    assert len(s.model.get_submodule(path)) == count + 1  # type: ignore[arg-type]
    assert torch.equal(run(s.model, inputs), before)
    assert state.proof is not None and state.proof.error == 0 == state.proof.rounding


def test_copies_are_their_blocks_but_for_the_last_weights() -> None:
    """Behind each target its copy, with parameters of its own; zeros in what leads out, and only there."""
    s = opened()
    s.grow("blocks[0], blocks[2]")
    blocks = s.model.blocks
    assert len(blocks) == 5
    for original, copy in ((blocks[0], blocks[1]), (blocks[3], blocks[4])):
        assert not copy.out.weight.any() and not copy.out.bias.any()
        assert torch.equal(copy.inner.weight, original.inner.weight)
        assert copy.inner.weight is not original.inner.weight
    assert blocks[2].out.weight.any()


def test_the_config_follows(tmp_path: Path) -> None:
    """A grown Llama is one of more layers, and transformers loads it."""
    model, inputs = MODELS["llama"]()
    s = surgery.open(model, inputs)
    s.grow("model.layers[*]")
    assert s.model.config.num_hidden_layers == len(s.model.model.layers) == 2 * len(model.model.layers)
    assert read_manifest(s.save(tmp_path / "out"))["loads_with"] == "transformers"


@pytest.mark.parametrize("kind", ["scaled", "normed"])
def test_other_ways_to_add(kind: str) -> None:
    """A weight per channel stays, and of a LayerNorm before the addition weight and bias are zero."""
    s = opened(kind)
    before = run(s.model, X)
    s.grow("blocks[1]")
    assert torch.equal(run(s.model, X), before)
    assert s.model.blocks[2].out.weight.any() == (kind == "normed")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("post", r"blocks.1: does not return its input plus something; got blocks.1.norm at its end"),
        ("late", r"blocks.1: adds what ends in no linear layer.*got relu in blocks.1"),
        ("twice", r"blocks.1: adds its input twice"),
        (
            "tied",
            r"blocks.1.out.weight: would be zero, and is tied inside the block; got blocks.1.inner.weight",
        ),
    ],
)
def test_blocks_that_cannot_be_silent(kind: str, sentence: str) -> None:
    """Each by what is in the way."""
    refused(opened(kind), sentence, "grow", targets="blocks[1]")


def test_families_that_are_refused() -> None:
    """Mixtures of experts, post-norm encoders and what is no block."""
    refused(
        surgery.open(*of_the_atlas("mixtral")), "ends in no linear layer", "grow", targets="model.layers[0]"
    )
    refused(
        surgery.open(*of_the_atlas("bert")), "LayerNorm at its end", "grow", targets="bert.encoder.layer[0]"
    )
    refused(opened(), "grow needs a block", "grow", targets="blocks[0].out")
