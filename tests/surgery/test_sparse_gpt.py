"""SparseGPT: pruned column by column, the weights to come making up for what went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.charts import Bars
from surgery.checkpoint.manifest import read_manifest
from tests.surgery.calibration.models import given_to, session_of, text
from tests.surgery.calibration.references import surgeon

FORMS: list[tuple[dict[str, Any], tuple[int, int] | None]] = [
    ({"ratio": 0.5, "block": 16}, None),
    ({"ratio": 0.3}, None),
    ({"pattern": "2:4", "ridge": 0.1}, (2, 4)),
    ({"pattern": "4:8", "block": 8}, (4, 8)),
]


@pytest.mark.parametrize("fields, runs", FORMS, ids=str)
@pytest.mark.parametrize("name, path", [
    ("llama", "model.layers.0.mlp.down_proj"),
    ("gpt2", "transformer.h.0.attn.c_attn"),
])  # fmt: skip
def test_weights_and_masks_are_those_of_the_paper(
    name: str, path: str, fields: dict[str, Any], runs: tuple[int, int] | None
) -> None:
    """Masks exactly, weights to float32's last digits; blocks and lazy updates change nothing."""
    session = session_of(name)
    session.apply(surgery.operations.SparseGpt(targets=path, **fields))
    weight, made = (
        model.get_parameter(f"{path}.weight").detach() for model in (session.opened.model, session.model)
    )
    if name == "gpt2":
        weight, made = weight.t(), made.t()
    given = given_to(session.opened.model, path, text())
    gram = (given.T @ given).float().double()
    expected = surgeon(
        weight, gram, fields.get("ratio", 0.5), runs, fields.get("block", 128), fields.get("ridge", 0.01)
    )
    assert torch.equal(made == 0, expected == 0)
    torch.testing.assert_close(made.double(), expected, rtol=1e-4, atol=1e-5)


def test_inputs_that_do_not_hang_on_each_other_leave_the_rest_as_it_is() -> None:
    """With orthonormal inputs it is magnitude pruning, bit for bit."""
    torch.manual_seed(0)
    session = surgery.open(nn.Sequential(nn.Linear(16, 6)), (torch.eye(16),))
    session.data = [torch.eye(16)]
    session.sparse_gpt("**")
    before, after = (model[0].weight.detach() for model in (session.opened.model, session.model))
    assert int((after == 0).sum()) == 48
    assert torch.equal(after[after != 0], before[after != 0])
    assert before[after == 0].abs().max() < before[after != 0].abs().min()


def test_an_output_loses_less_than_by_wanda_or_magnitude() -> None:
    """Σ ‖(W − Ŵ) x‖² on inputs that hang on each other, as those of real layers do."""
    torch.manual_seed(0)
    data, layer = torch.randn(300, 4) @ torch.randn(4, 24) + 0.3 * torch.randn(300, 24), nn.Linear(24, 12)
    lost = {}
    for name in ("sparsify", "wanda", "sparse_gpt"):
        session = surgery.open(nn.Sequential(layer), (data,))
        session.data = [data]
        getattr(session, name)("**", 0.5)
        with torch.no_grad():
            lost[name] = float((session.model(data) - layer(data)).square().sum())
    assert lost["sparse_gpt"] < lost["wanda"] / 2 and lost["wanda"] < lost["sparsify"]


def test_inputs_that_are_never_there_lose_their_weights() -> None:
    """They need no ridge of their own, and do not count as weights that were chosen."""
    torch.manual_seed(0)
    data = torch.randn(40, 8)
    data[:, 3] = 0.0
    session = surgery.open(nn.Sequential(nn.Linear(8, 4)), (data,))
    session.data = [data]
    session.sparse_gpt("**", ratio=0.25, ridge=0.0)
    weight = session.model[0].weight
    assert not weight[:, 3].any() and torch.isfinite(weight).all()


def test_layers_that_are_given_the_same_share_a_gram() -> None:
    """Query, key and value, and gate and up: it is kept once."""
    session = session_of("llama")
    step = session.sparse_gpt("model.layers[0]").step
    names = set(step.measured.tensors)
    grams = {name.split(".")[-2] for name in names if name.endswith(".gram")}
    assert grams == {"q_proj", "o_proj", "gate_proj", "down_proj"}
    assert {name.split(".")[-2] for name in names if name.endswith(".same")} == {
        "k_proj",
        "v_proj",
        "up_proj",
    }


def test_a_streamed_replay_has_the_same_bits_and_needs_no_data(tmp_path: Path) -> None:
    """From the script and its sidecar, on weights that are read piece by piece."""
    session = session_of("gpt2")
    session.sparse_gpt("transformer.h")
    session.script.write(tmp_path / "edits.json")
    weights, model = tmp_path / "model.safetensors", session.opened.model
    save_file({name: item.clone().contiguous() for name, item in model.state_dict().items()}, weights)
    skeleton = surgery.open(weights, session.opened.inputs, into=model, skeleton=True)
    for step in surgery.Script.read(tmp_path / "edits.json").steps:
        skeleton.apply(step)
    assert read_manifest(skeleton.save(tmp_path / "out"))["fingerprint"] == session.fingerprint()


def test_the_chart_says_what_each_layer_would_lose() -> None:
    """More at a higher ratio; as many bars as there is room for."""
    session = session_of("llama")
    low, high = (session.chart("sparse_gpt", "model.layers", ratio=ratio) for ratio in (0.3, 0.7))
    assert isinstance(low, Bars) and isinstance(high, Bars) and len(low.values) <= 8
    assert low.unit == "%" and all(0 < a < b < 100 for a, b in zip(low.values, high.values, strict=True))


def test_too_few_tokens_without_a_ridge_are_refused() -> None:
    """With how many are needed."""
    session = session_of("llama")
    with pytest.raises(
        SurgeryError, match=r"down_proj: .*got \d+ tokens, expected at least 48\. Try: more `samples`"
    ):
        session.sparse_gpt("**.down_proj", ridge=0.0, samples=3, sequential=False)
    session.sparse_gpt("**.down_proj", ridge=0.001, samples=3)


@pytest.mark.parametrize("sequential", [True, False])
def test_a_singular_gram_is_refused_with_the_ridge_that_would_do(sequential: bool) -> None:
    """Two inputs that are always equal; with that ridge it works."""
    torch.manual_seed(0)
    data = torch.randn(64, 8)
    data[:, 5] = data[:, 2]
    session = surgery.open(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), (data,))
    session.data = [data]
    with pytest.raises(SurgeryError, match=r"^0: .*has no inverse; got ridge 0, .*Try: `ridge=1e-06`"):
        session.sparse_gpt("0", ridge=0.0, sequential=sequential)
    session.sparse_gpt("0", ridge=1e-6, sequential=sequential)
    assert torch.isfinite(session.model[0].weight).all()


def test_a_block_that_cuts_a_run_is_refused() -> None:
    """By the field, in the preview."""
    session = session_of("llama", [])
    with pytest.raises(
        SurgeryError, match=r"^sparse_gpt\.block: .*runs of 8 inputs; got 12, expected a multiple"
    ):
        session.preview("sparse_gpt", "model.layers", pattern="4:8", block=12)
