"""Cast: dtypes, ties, buffers and config follow; what would not run is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from graph.costs import costs
from surgery import SurgeryError
from tests.surgery.states import loads_again, run, snapshot
from tests.zoo import ATLAS, ZOO


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_it_is_what_torch_makes(name: str, dtype: torch.dtype) -> None:
    """Parameters and outputs are those of a model whose parameters are cast by hand, bit for bit."""
    model, inputs = ZOO[name]()
    session = surgery.open(model, inputs)
    session.cast("**", str(dtype).removeprefix("torch."))
    by_hand, _ = ZOO[name]()
    for parameter in by_hand.parameters():
        parameter.data = parameter.data.to(dtype)
    assert torch.equal(run(session.model, inputs), run(by_hand, inputs))
    assert {parameter.dtype for parameter in session.model.parameters()} == {dtype}
    assert session.model.config.dtype == dtype
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config.dtype is None


def test_buffers_stay_unless_asked_for() -> None:
    """Rotary frequencies keep their digits, as transformers loads them; a buffer shared stays shared."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.cast("**", "float16")
    assert session.model.get_buffer("model.rotary_emb.inv_freq").dtype == torch.float32
    session.cast("**", "float16", buffers=True)
    rotary: Any = session.model.get_submodule("model.rotary_emb")
    assert rotary.inv_freq.dtype == rotary.original_inv_freq.dtype == torch.float16


def test_ties_stay_and_figures_follow() -> None:
    """Cast through one of its ends a tie is one parameter still; the preview has the figures."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    before = costs(session.graph)
    after = session.preview("cast", "**").after
    session.cast("**")
    assert session.model.lm_head.weight is session.model.model.embed_tokens.weight
    assert costs(session.graph) == after
    weights, buffers = (
        sum(tensor.nbytes for tensor in tensors)
        for tensors in (session.model.parameters(), session.model.buffers())
    )
    assert after.parameters == before.parameters
    assert before.size_bytes - after.size_bytes == weights
    assert after.kv_bytes_per_token and before.kv_bytes_per_token == 2 * after.kv_bytes_per_token
    assert buffers


@pytest.mark.parametrize(
    ("name", "targets", "where"),
    [
        ("llama", "model.layers[1].mlp", "model.layers.1.mlp"),
        ("gpt2", "**:LayerNorm", "transformer.h.0.ln_1"),
        ("cnn", "stage1", "stage1.0"),
        ("cnn", "**", "stem.0"),
        ("encoder", "layers.1", "layers.1"),
    ],
)
def test_dtypes_that_do_not_mix_are_refused(name: str, targets: str, where: str) -> None:
    """Torch would refuse the product when the model is run: the trace on shapes alone refuses it too."""
    session = surgery.open(*ZOO[name]())
    before = snapshot(session.model)
    with pytest.raises(SurgeryError, match="after cast the forward would fail here") as refusal:
        session.cast(targets)
    assert str(refusal.value.path).startswith(where)
    assert snapshot(session.model) == before


def test_a_part_can_be_cast_where_the_forward_converts() -> None:
    """A module that converts what it is given and gives back runs in another dtype than the rest."""

    class Converting(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.to(self.weight.dtype)).to(x.dtype)

    model = nn.Sequential(nn.Linear(4, 4), Converting(4, 4)).eval()
    session = surgery.open(model, (torch.randn(2, 4),))
    session.cast("1")
    assert [parameter.dtype for parameter in session.model.parameters()] == [torch.float32] * 2 + [
        torch.bfloat16
    ] * 2
    run(session.model, session.opened.inputs)


def test_what_transformers_keeps_wide_stays() -> None:
    """T5's output projections overflow in float16; transformers loads them in float32, and so they stay."""
    session = surgery.open(*ATLAS["t5"]())
    session.cast("**", "float16")
    kinds = {path: parameter.dtype for path, parameter in session.model.named_parameters()}
    assert {dtype for path, dtype in kinds.items() if ".wo." in path} == {torch.float32}
    assert {dtype for path, dtype in kinds.items() if ".wo." not in path} == {torch.float16}
    run(session.model, session.opened.inputs)


@pytest.mark.parametrize("buffers", [False, True])
def test_a_folder_has_the_dtype(tmp_path: Path, buffers: bool) -> None:
    """Transformers alone loads a model cast without its buffers; one with them is rebuilt by its script."""
    session = surgery.open(*ZOO["llama"]())
    session.cast("**", buffers=buffers)
    loads_again(session, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "surgery.json").read_text(encoding="utf-8"))
    assert manifest["loads_with"] == ("surgery.load" if buffers else "transformers")
    if buffers:
        with pytest.raises(SurgeryError, match=r"cannot be made an ordinary transformers model: .* was cast"):
            session.save(tmp_path / "plain", plain=True)
        assert not (tmp_path / "plain").exists()


def test_nothing_to_cast_is_refused() -> None:
    """A dtype that is there already, and targets without parameters."""
    session = surgery.open(*ZOO["llama"]())
    for targets, dtype in (("**", "float32"), ("model.rotary_emb", "bfloat16")):
        with pytest.raises(SurgeryError, match="cast would change nothing"):
            session.cast(targets, dtype)
    with pytest.raises(SurgeryError, match=r"cast\.dtype does not fit"):
        session.cast("**", "float8")
