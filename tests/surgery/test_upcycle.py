"""Upcycle: copies give what the dense model gave, parts sum to it, and a router decides who is asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import surgery
from graph.costs import costs
from surgery.errors import SurgeryError
from surgery.modules.mixture import Mixture, Router
from surgery.session import Session
from tests.surgery.states import run
from tests.zoo import ATLAS


def opened(name: str, dtype: torch.dtype = torch.float64) -> Session:
    """A model of the zoo in this dtype; blocks with biases have some."""
    model, inputs = ATLAS[name]()
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data = parameter.data + 0.1 * torch.randn_like(parameter) * (parameter.dim() == 1)
    return surgery.open(model.to(dtype), inputs)


def mixture(experts: int, active: int, *, weighed: bool) -> Mixture:
    """Experts that differ, over width 6."""
    torch.manual_seed(0)
    made = [nn.Sequential(nn.Linear(6, 9), nn.GELU(), nn.Linear(9, 6)) for _ in range(experts)]
    return Mixture(Router(6, experts, active), made, weighed=weighed)


@pytest.mark.parametrize("weighed", [True, False])
def test_mixture_is_the_sum_over_the_chosen(weighed: bool) -> None:
    """Token by token: the best k by score, with their softmax among themselves, or with one each."""
    made, x = mixture(5, 3, weighed=weighed), torch.randn(2, 7, 6)
    wanted = torch.zeros_like(x)
    for row in range(2):
        for place in range(7):
            token = x[row, place]
            scores = made.gate.weight @ token
            chosen = scores.topk(3).indices
            gates = scores[chosen].softmax(0) if weighed else torch.ones(3)
            wanted[row, place] = sum(
                gate * made.experts[index](token) for gate, index in zip(gates, chosen.tolist(), strict=True)
            )
    assert torch.allclose(made(x), wanted, atol=1e-6)
    assert made(x[:0]).shape == (0, 7, 6)


def test_router_of_parts_has_a_slope() -> None:
    """Gates that are one still tell the router what more of an expert would do."""
    made, x = mixture(4, 2, weighed=False), torch.randn(8, 6)
    made(x).square().sum().backward()
    assert made.gate.weight.grad is not None and made.gate.weight.grad.abs().max() > 0


@pytest.mark.parametrize(("experts", "active", "seed"), [(2, 1, 0), (4, 2, 0), (8, 3, 5)])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_copies_give_what_the_dense_model_gave(name: str, experts: int, active: int, seed: int) -> None:
    """Whoever is chosen: the gates sum to one."""
    session = opened(name)
    before = run(session.model, session.opened.inputs)
    session.upcycle("**.mlp", experts=experts, active=active, seed=seed)
    assert torch.allclose(run(session.model, session.opened.inputs), before, atol=1e-13, rtol=0)
    routers = [item.gate.weight for item in session.model.modules() if isinstance(item, Mixture)]
    assert len(routers) > 1 and not torch.equal(routers[0], routers[1])


@pytest.mark.parametrize("name", ["llama", "gpt2", "neox"])
def test_all_parts_sum_to_the_mlp(name: str) -> None:
    """SwiGLU, and GELU with biases that each part has a share of."""
    session = opened(name)
    before = run(session.model, session.opened.inputs)
    held = sum(parameter.numel() for parameter in session.model.parameters())
    session.upcycle("**.mlp", how="split", experts=4)
    after = run(session.model, session.opened.inputs)
    assert torch.allclose(after, before, atol=1e-12, rtol=0)
    mixtures = [module for module in session.model.modules() if isinstance(module, Mixture)]
    more = sum(item.gate.weight.numel() for item in mixtures)
    more += 3 * sum(p.numel() for item in mixtures for n, p in item.experts[0].named_parameters() if _ends(n))
    assert sum(parameter.numel() for parameter in session.model.parameters()) == held + more


def _ends(name: str) -> bool:
    return name in ("c_proj.bias", "dense_4h_to_h.bias")


def test_fewer_parts_are_those_neurons_alone() -> None:
    """With k of n active a token gets the neurons of the best k by score, and the whole bias."""
    session = opened("gpt2")
    mlp: Any = session.model.transformer.h[1].mlp
    (up, before), (down, after) = (
        (part.weight.detach(), part.bias.detach()) for part in (mlp.c_fc, mlp.c_proj)
    )
    session.upcycle("transformer.h[1]", how="split", experts=4, active=3)
    made: Any = session.model.transformer.h[1].mlp
    x = torch.randn(9, up.shape[0], dtype=torch.float64)
    chosen = (x @ made.gate.weight.T).topk(3).indices
    run_of = torch.arange(up.shape[1]) // (up.shape[1] // 4)
    active = (run_of[None, :, None] == chosen[:, None, :]).any(-1)
    neurons = F.gelu(x @ up + before, approximate="tanh") * active
    assert torch.allclose(made(x), neurons @ down + after, atol=1e-12)


def test_costs_are_those_of_the_active_experts() -> None:
    """A block costs k times its MLP and the router more, in the preview and in the graph."""
    session = surgery.open(*ATLAS["llama"]())
    before, mlp = costs(session.graph), costs(session.graph, "model.layers.0.mlp")
    tokens = session.graph.tokens
    router = 6 * session.model.config.hidden_size
    preview = session.preview(surgery.operations.Upcycle(targets="model.layers[0]", experts=6, active=3))
    session.upcycle("model.layers[0]", experts=6, active=3)
    assert costs(session.graph).macs == before.macs + 2 * mlp.macs + tokens * router == preview.after.macs
    assert costs(session.graph).parameters == before.parameters + 5 * mlp.parameters + router


def test_half_precision_is_rounded_once() -> None:
    """In bfloat16 copies of one expert give its very output: gates and sums are wider."""
    session = opened("llama", torch.bfloat16)
    dense: Any = session.model.model.layers[0].mlp
    x = torch.randn(11, session.model.config.hidden_size, dtype=torch.bfloat16)
    with torch.no_grad():
        wanted = dense(x)
        session.upcycle("model.layers[0].mlp")
        found = session.model.model.layers[0].mlp(x)
    assert found.dtype == torch.bfloat16
    assert (found != wanted).float().mean() < 0.01


def test_experts_are_apart() -> None:
    """Copies have parameters of their own, but for what is tied inside; the first has the very ones."""
    session = surgery.open(*ATLAS["llama"]())
    before = session.model.model.layers[0].mlp.up_proj.weight
    session.upcycle("model.layers[0]")
    experts: Any = session.model.model.layers[0].mlp.experts
    assert experts[0].up_proj.weight is before
    assert len({item.up_proj.weight.data_ptr() for item in experts}) == 4


@pytest.mark.parametrize(
    ("name", "first", "fields", "said"),
    [
        ("llama", (), {"targets": "model.layers[0].self_attn"}, r"is no MLP.*model\.layers\[0\]\.mlp"),
        ("clip", (), {"targets": "text_model.encoder.layers[0]"}, "is no MLP.*CLIPEncoderLayer"),
        ("encoder", (), {"targets": "layers[0]"}, "is no MLP.*MultiheadAttention"),
        ("cnn", (), {"targets": "**:Conv2d"}, "is no MLP.*Conv2d"),
        ("mixtral", (), {"targets": "model.layers[0]"}, r"layers\.0\.mlp: is a mixture of experts already"),
        ("llama", (), {"targets": "**.mlp", "active": 5}, "active=5, expected 4"),
        ("llama", (), {"targets": "**.mlp", "how": "split", "experts": 7}, "divided by 7.*`experts="),
        ("tied_head", (), {"targets": "blocks[0]", "how": "split"}, 'no neurons.*`how="copy"`'),
        (
            "llama",
            (("tie", {"targets": "model.layers[1]", "to": "model.layers[0]"}),),
            {"targets": "model.layers[1].mlp"},
            r"tied to a path outside.*layers\.0\.mlp.*untie",
        ),
        (
            "llama",
            (("attach", {"targets": "**.up_proj"}),),
            {"targets": "**.mlp", "how": "split"},
            "under an adapter.*fold",
        ),
        ("siamese", (), {"targets": "left"}, "one module used at several paths.*untie"),
    ],
)
def test_refusals(name: str, first: Any, fields: dict[str, Any], said: str) -> None:
    """Each names the path and the way out, and changes nothing."""
    session = surgery.open(*ATLAS[name]())
    for verb, given in first:
        getattr(session, verb)(**given)
    mark = session.fingerprint()
    with pytest.raises(SurgeryError, match=said):
        session.upcycle(**fields)
    assert session.fingerprint() == mark


def test_chart_of_a_split_ends_at_nothing() -> None:
    """What is missing falls to zero with all parts; of copies the chart shows what is held and used."""
    session = opened("llama", torch.float32)
    session.data = [session.opened.inputs]
    chart: Any = session.chart("upcycle", "model.layers[0:2]", how="split", active=2)
    assert list(chart.lines) == ["model.layers.0.mlp", "model.layers.1.mlp"] and chart.mark == 2
    for line in chart.lines.values():
        assert [x for x, _ in line] == [1, 2, 3, 4]
        assert line[0][1] > 0.1 and line[-1][1] < 1e-6
    sizes: Any = session.chart("upcycle", "model.layers[0]", experts=3)
    before = sum(parameter.numel() for parameter in session.model.parameters())
    session.upcycle("model.layers[0]", experts=3)
    after = sum(parameter.numel() for parameter in session.model.parameters())
    width = session.model.config.hidden_size
    assert before + width == sizes.lines["held"][0][1] and after == sizes.lines["held"][2][1]
