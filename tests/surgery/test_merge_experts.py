"""Merging experts: those most used stay, others join the one they are routed most like, neurons in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import surgery
from graph.costs import costs
from surgery.errors import SurgeryError
from surgery.session import Session
from tests.surgery.contract import Case, holds
from tests.surgery.states import cached_equals_uncached, loads_again, run
from tests.zoo import ATLAS
from tests.zoo.experts import deepseek_v2, qwen3_moe

STACKED: dict[str, Callable[[], Any]] = {
    "mixtral": ATLAS["mixtral"],
    "qwen_moe": ATLAS["qwen_moe"],
    "qwen3_moe": qwen3_moe,
}


def upcycled(*, apart: bool, dtype: torch.dtype = torch.float64) -> Session:
    """A decoder with two mixtures of four experts, all copies or each moved away and its neurons shuffled."""
    model, inputs = ATLAS["llama"]()
    session = surgery.open(model.to(dtype), inputs)
    session.upcycle("model.layers[0:2]", experts=4)
    if apart:
        torch.manual_seed(3)
        for layer in (0, 1):
            for expert in mixture(session, layer).experts:
                order = torch.randperm(expert.up_proj.out_features)
                for name, dim in (("gate_proj", 0), ("up_proj", 0), ("down_proj", 1)):
                    weight = getattr(expert, name).weight
                    moved = weight.detach().index_select(dim, order)
                    weight.data = moved + 0.02 * torch.randn_like(moved)
        session.touch()
    session.data = [inputs]
    return session


def mixture(session: Session, layer: int) -> Any:
    """The mixture of a block."""
    model: Any = session.model
    return model.model.layers[layer].mlp


def seen(session: Session, gate: Any) -> tuple[Tensor, Tensor]:
    """How often experts are chosen, and the router's scores, by a hook of the test's own."""
    scores: list[Tensor] = []

    def note(_: Any, __: Any, out: Any) -> None:
        scores.append((out[0] if isinstance(out, tuple) else out).detach())

    handle = gate.register_forward_hook(note)
    run(session.model, session.opened.inputs)
    handle.remove()
    found = torch.cat(scores)
    return torch.bincount(found.topk(gate.top_k).indices.flatten(), minlength=found.shape[1]), found


def groups_of(usage: Tensor, scores: Tensor, count: int) -> list[int]:
    """Dominant experts and whom the others join, written out."""
    leads = sorted(sorted(range(len(usage)), key=lambda i: (-int(usage[i]), i))[:count])
    like = torch.nn.functional.cosine_similarity(scores.T[:, None].double(), scores.T[None].double(), dim=-1)
    return [i if i in leads else max(leads, key=lambda j: float(like[i, j])) for i in range(len(usage))]


def merged(experts: list[tuple[Tensor, ...]], usage: Tensor, groups: list[int], lead: int) -> list[Tensor]:
    """Gate, up and down of a group: Σ f W / Σ f with neurons in the order of the dominant expert's."""
    total = [torch.zeros_like(tensor, dtype=torch.float64) for tensor in experts[lead]]
    members = [number for number, other in enumerate(groups) if other == lead]
    shares = usage[members].double()
    shares = shares / shares.sum() if shares.sum() else torch.full_like(shares, 1 / len(members))
    for number, share in zip(members, shares.tolist(), strict=True):
        gains = sum(
            (mine.double() @ theirs.double().T) if dim == 0 else (mine.double().T @ theirs.double())
            for mine, theirs, dim in zip(experts[lead], experts[number], (0, 0, 1), strict=True)
        )
        order = torch.from_numpy(linear_sum_assignment(-gains.numpy())[1])  # type: ignore[union-attr]
        for into, tensor, dim in zip(total, experts[number], (0, 0, 1), strict=True):
            into += share * tensor.double().index_select(dim, order)
    return total


def test_identical_experts_are_unchanged() -> None:
    """Copies merged are the very MLP: the output stays, to rounding."""
    session = upcycled(apart=False)
    before = run(session.model, session.opened.inputs)
    held = costs(session.graph).parameters
    expert = sum(parameter.numel() for parameter in mixture(session, 0).experts[0].parameters())
    session.merge_experts(count=2)
    assert torch.allclose(run(session.model, session.opened.inputs), before, atol=1e-13, rtol=0)
    assert costs(session.graph).parameters == held - 2 * 2 * expert


def test_shuffled_copies_are_put_in_order() -> None:
    """Experts that are one MLP with its neurons in other orders merge into it; unaligned they do not."""
    session = upcycled(apart=False)
    for number, expert in enumerate(mixture(session, 0).experts):
        order = torch.randperm(expert.up_proj.out_features, generator=torch.Generator().manual_seed(number))
        for name, dim in (("gate_proj", 0), ("up_proj", 0), ("down_proj", 1)):
            weight = getattr(expert, name).weight
            weight.data = weight.detach().index_select(dim, order)
    session.touch()
    before = run(session.model, session.opened.inputs)
    session.merge_experts("model.layers[0]", count=1)
    assert torch.allclose(run(session.model, session.opened.inputs), before, atol=1e-13, rtol=0)
    session.undo()
    session.merge_experts("model.layers[0]", count=1, align=False)
    assert not torch.allclose(run(session.model, session.opened.inputs), before, atol=1e-3, rtol=0)


def test_members_share_what_was_written_out() -> None:
    """Who joins whom, and the weighted mean of aligned weights, as plain loops have it; members are tied."""
    session = upcycled(apart=True)
    usage, scores = seen(session, mixture(session, 1).gate)
    groups = groups_of(usage, scores, 2)
    names = ("gate_proj", "up_proj", "down_proj")
    before = [
        tuple(getattr(expert, name).weight.detach().clone() for name in names)
        for expert in mixture(session, 1).experts
    ]
    step: Any = session.merge_experts("model.layers[1]", count=2).step
    assert step.groups.data == {"model.layers.1.mlp": groups} and len(set(groups)) == 2
    assert torch.equal(step.measured.lazy("model.layers.1.mlp.usage").tensor, usage)
    for number, expert in enumerate(mixture(session, 1).experts):
        wanted = merged(before, usage, groups, groups[number])
        for name, value in zip(names, wanted, strict=True):
            assert torch.allclose(getattr(expert, name).weight, value, atol=1e-12)
        lead = mixture(session, 1).experts[groups[number]]
        assert expert.up_proj.weight is lead.up_proj.weight


@pytest.mark.parametrize("name", list(STACKED))
def test_stacked_experts_become_fewer_slices(name: str, tmp_path: Path) -> None:
    """Each slice is the merged expert, and the router's choices lead to the slice of their group."""
    session = surgery.open(*STACKED[name]())
    session.data = [session.opened.inputs]
    mixed = mixture(session, 1)
    usage, scores = seen(session, mixed.gate)
    groups = groups_of(usage, scores, 2)
    into, out = mixed.experts.gate_up_proj.detach().clone(), mixed.experts.down_proj.detach().clone()
    before = [(*into[number].chunk(2), out[number]) for number in range(len(usage))]
    held, macs = costs(session.graph).parameters, costs(session.graph).macs
    session.merge_experts("model.layers[1]", count=2)
    made = mixture(session, 1).experts
    leads = sorted(set(groups))
    assert made.places == tuple(leads.index(lead) for lead in groups)
    for place, lead in enumerate(leads):
        gate, up, down = merged(before, usage, groups, lead)
        assert torch.allclose(made.base.gate_up_proj[place].double(), torch.cat([gate, up]), atol=1e-6)
        assert torch.allclose(made.base.down_proj[place].double(), down, atol=1e-6)
    gone = (len(usage) - 2) * (into[0].numel() + out[0].numel())
    assert (costs(session.graph).parameters, costs(session.graph).macs) == (held - gone, macs)
    x = torch.randn(1, 6, into.shape[2])
    full = mixture(session, 1)
    with torch.no_grad():
        wanted = full(x)
        places = torch.tensor(made.places)
        full.experts = made.base
        full.experts.gate_up_proj = torch.nn.Parameter(made.base.gate_up_proj[places])
        full.experts.down_proj = torch.nn.Parameter(made.base.down_proj[places])
        full.experts.num_experts = len(places)
        assert torch.allclose(full(x), wanted, atol=1e-6)  # each number with the merged slice of its own


@pytest.mark.parametrize("name", ["mixtral", "qwen_moe"])
def test_stacked_experts_save_and_generate(name: str, tmp_path: Path) -> None:
    """The folder loads to the same model, and the cache changes nothing."""
    session = surgery.open(*STACKED[name]())
    session.data = [session.opened.inputs]
    session.merge_experts(count=2)
    loads_again(session, tmp_path / "out")
    cached_equals_uncached(session.model)


def test_stacked_experts_keep_the_contract(tmp_path: Path, monkeypatch: Any) -> None:
    """As operations on the models of the contract do."""
    from tests.surgery import contract

    monkeypatch.setitem(contract.MODELS, "mixtral", STACKED["mixtral"])
    holds(Case("mixtral", "merge_experts", {"targets": "**", "count": 2}), tmp_path, decodes=True)


def test_padding_is_not_counted() -> None:
    """What a batch masks has no vote."""
    session = upcycled(apart=True)
    ids = session.opened.inputs["input_ids"]
    session.data = [
        {"input_ids": ids, "attention_mask": torch.ones_like(ids).index_fill(1, torch.tensor([0, 1]), 0)}
    ]
    step: Any = session.merge_experts("model.layers[0]").step
    usage = step.measured.lazy("model.layers.0.mlp.usage").tensor
    assert usage.sum() == 2 * ids.shape[0] * (ids.shape[1] - 2)


@pytest.mark.parametrize(
    ("made", "first", "fields", "said"),
    [
        (ATLAS["llama"], (), {}, "no mixture of experts.*upcycle"),
        (deepseek_v2, (), {}, r"layers.*not proved on the experts.*mixtral, qwen2_moe, qwen3_moe"),
        (ATLAS["mixtral"], (), {"count": 4}, r"layers\.0\.mlp: has 4 experts; got 4 .*from 1 to 3"),
        (ATLAS["mixtral"], (("merge_experts", {"count": 3}),), {"count": 2}, "merged already.*undo"),
        (
            ATLAS["llama"],
            (("upcycle", {"targets": "**.mlp"}), ("merge_experts", {"count": 3})),
            {"count": 2},
            "shared with another expert.*untie",
        ),
        (
            ATLAS["llama"],
            (("upcycle", {"targets": "**.mlp"}), ("attach", {"targets": "**.experts.1.up_proj"})),
            {},
            "under an adapter.*fold",
        ),
        (ATLAS["tied_head"], (("upcycle", {"targets": "blocks[0]"}),), {}, "not known.*`align=False`"),
        (
            ATLAS["mixtral"],
            (),
            {"groups": {"model.layers.0.mlp": [1, 0, 2, 3], "model.layers.1.mlp": [0, 0, 2, 2]}},
            r"groups does not fit.*1, 0, 2, 3",
        ),
    ],
)
def test_refusals(made: Any, first: Any, fields: dict[str, Any], said: str) -> None:
    """Each names the path and the way out, and changes nothing."""
    session = surgery.open(*made())
    session.data = [session.opened.inputs]
    for verb, given in first:
        getattr(session, verb)(**given)
    mark = session.fingerprint()
    with pytest.raises(SurgeryError, match=said):
        session.merge_experts(**fields)
    assert session.fingerprint() == mark


def test_it_needs_data() -> None:
    """Without data it says what to give."""
    session = surgery.open(*ATLAS["mixtral"]())
    session.data = []
    with pytest.raises(SurgeryError, match=r"merge_experts needs data.*s\.data"):
        session.merge_experts()


def test_chart_marks_the_dominant() -> None:
    """Shares of all routes, and those that would stay."""
    session = surgery.open(*ATLAS["mixtral"]())
    session.data = [session.opened.inputs]
    usage, scores = seen(session, mixture(session, 0).gate)
    chart: Any = session.chart("merge_experts", count=2)
    assert chart.values == pytest.approx((100 * usage / usage.sum()).tolist())
    assert list(chart.marked) == sorted(set(groups_of(usage, scores, 2)))
