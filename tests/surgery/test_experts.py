"""Fewer experts: the mixture is the original whose router gives the lost experts no chance."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import surgery
from surgery import SurgeryError
from surgery.checkpoint.manifest import read_manifest
from tests.surgery.contract import MODELS, Case, holds
from tests.surgery.states import cached_equals_uncached, loaded_alone, loads_again, run, untouched
from tests.zoo.experts import deepseek_v2, deepseek_v3, mixtral, python_routed, qwen3_moe, qwen_moe
from tests.zoo.families import stirred

MAKERS: dict[str, Callable[[], Any]] = {
    "mixtral": mixtral,
    "qwen2_moe": qwen_moe,
    "qwen3_moe": qwen3_moe,
    "deepseek_v2": deepseek_v2,
    "deepseek_v3": deepseek_v3,
}
KEPT: dict[str, tuple[list[int], list[int]]] = {
    # The units that stay, and the experts that these are: three groups of four in the last two.
    "mixtral": ([0, 2, 3], [0, 2, 3]),
    "qwen2_moe": ([1, 3], [1, 3]),
    "qwen3_moe": ([0, 1, 4], [0, 1, 4]),
    "deepseek_v2": ([0, 3], [0, 3, 4, 7, 8, 11]),
    "deepseek_v3": ([1, 2], [1, 2, 5, 6, 9, 10]),
}


pytestmark = pytest.mark.usefixtures("one_thread")


def made(name: str) -> Any:
    """The family's model, no two layers or experts alike."""
    model, inputs = MAKERS[name]()
    return stirred(model), inputs


class _Mask:
    """A router's logits with -inf for some experts; DeepSeek's scores, which a bias corrects, likewise."""

    def __init__(self, gone: list[int], total: int) -> None:
        self.gone, self.total = gone, total

    def hide(self, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.clone()
        scores[..., self.gone] = -torch.inf
        return scores

    def linear(self, x: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> torch.Tensor:
        out = _linear(x, weight, bias)
        return self.hide(out) if weight.shape[0] == self.total else out


_linear = F.linear


def without(model: Any, kept: list[int], inputs: Any, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """The original's logits with router logits of -inf for all but the `kept` experts."""
    model = copy.deepcopy(model)
    gates = [module for name, module in model.named_modules() if name.endswith("mlp.gate")]
    total = gates[0].weight.shape[0]
    mask = _Mask([expert for expert in range(total) if expert not in kept], total)
    for gate in gates:
        if "e_score_correction_bias" in gate._buffers:  # the score is 0 then, and this keeps it the last
            gate.e_score_correction_bias = mask.hide(gate.e_score_correction_bias)
        forward = gate.forward

        def masked(x: torch.Tensor, forward: Any = forward) -> Any:
            with monkeypatch.context() as patched:
                patched.setattr(F, "linear", mask.linear)
                return forward(x)

        gate.forward = masked
    return run(model, inputs)


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_gone_had_no_chance(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Logits are those with -inf for the experts that are gone; cache, config, folder and undo are right."""
    model, inputs = made(name)
    before, (units, kept) = untouched(model), KEPT[name]
    expected = without(model, kept, inputs, monkeypatch)
    session = surgery.open(model, inputs)
    original = run(session.model, inputs)
    session.narrow("**", units="experts", kept=units)
    found = run(session.model, inputs)
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, original, atol=1e-2)
    cached_equals_uncached(session.model)
    edited: Any = session.model
    assert len(kept) in (
        getattr(edited.config, key, None) for key in ("num_experts", "num_local_experts", "n_routed_experts")
    )
    loads_again(session, tmp_path / "out")
    assert (tmp_path / "out" / "config.json").is_file()
    assert torch.equal(run(loaded_alone(model, tmp_path / "out"), inputs), found)
    session.undo()
    assert torch.equal(run(session.model, inputs), original)
    assert untouched(model) == before


@pytest.mark.parametrize("name", ["mixtral", "deepseek_v3"])
def test_contract(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the experts gone keeps the contract of operations."""
    monkeypatch.setitem(MODELS, name, MAKERS[name])
    case = Case(name, "narrow", {"targets": "**", "units": "experts", "ratio": 0.5})
    holds(case, tmp_path, decodes=True)


def test_one_layer_alone(tmp_path: Path) -> None:
    """The config says the old number till all layers agree, and the folder needs `surgery.load`."""
    model, inputs = made("mixtral")
    session = surgery.open(model, inputs)
    session.narrow("model.layers[0]", units="experts", count=2)
    edited: Any = session.model
    assert (edited.config.num_local_experts, edited.num_experts) == (4, 4)
    assert [layer.mlp.experts.num_experts for layer in edited.model.layers] == [2, 4]
    cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "uneven")
    assert read_manifest(tmp_path / "uneven")["loads_with"] == "surgery.load"
    session.narrow("model.layers[1]", units="experts", count=2)
    assert (edited.config.num_local_experts, edited.num_experts) == (2, 2)
    loads_again(session, tmp_path / "even")
    assert (tmp_path / "even" / "config.json").is_file()
    edited(**inputs, labels=inputs["input_ids"], output_router_logits=True).loss.backward()


def test_the_largest_stay() -> None:
    """Kept are the experts whose weights have most energy, the router's row with them."""
    model, inputs = made("qwen3_moe")
    mlp = model.model.layers[1].mlp
    energy = sum(
        tensor.detach().double().square().flatten(1).sum(1)
        for tensor in (mlp.gate.weight, mlp.experts.gate_up_proj, mlp.experts.down_proj)
    )
    session = surgery.open(model, inputs)
    session.narrow("model.layers[1]", units="experts", count=4)
    kept = energy.topk(4).indices.sort().values
    assert torch.equal(session.model.get_parameter("model.layers.1.mlp.gate.weight"), mlp.gate.weight[kept])


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("mixtral", {"count": 1}, "has 4 experts; got 1 to be left, expected from 2 to 3"),
        ("deepseek_v2", {"count": 4}, "go in groups of 3; got 4"),
        ("deepseek_v3", {"count": 3}, "has 12 experts; got 3 to be left, expected from 6 to 9"),
        ("deepseek_v2", {"count": 3}, "has 12 experts; got 3 to be left, expected from 6 to 9"),
    ],
)
def test_too_few_are_refused(name: str, fields: dict[str, Any], message: str) -> None:
    """As many must be left as a token is sent to, and as many in each group."""
    session = surgery.open(*MAKERS[name]())
    with pytest.raises(SurgeryError, match=message):
        session.narrow("**", units="experts", **fields)


def test_others_are_refused() -> None:
    """Routers that nobody has proved, in a family or in a module of one's own."""
    session = surgery.open(*python_routed())
    with pytest.raises(SurgeryError, match="has no experts that narrow knows how to take apart"):
        session.narrow("**", units="experts", ratio=0.5)
    model, inputs = mixtral()
    other = surgery.open(model, inputs)
    other.model.config.__dict__["model_type"] = "phimoe"
    with pytest.raises(SurgeryError, match="not proved on the experts of the family 'phimoe'"):
        other.narrow("**", units="experts", ratio=0.5)
