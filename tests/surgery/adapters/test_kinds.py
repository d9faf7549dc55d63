"""What holds for every kind of adapter, against formulas written out here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from surgery import SurgeryError
from surgery.adapters.adapter import Adapter
from surgery.adapters.drawn import CLASSES
from surgery.adapters.kinds import KINDS
from surgery.adapters.peft import offered
from surgery.operations import Attach
from surgery.selecting import resolve
from tests.surgery.adapters.trained import adapters_of, opened, rank, train
from tests.surgery.states import loads_again, run

FOLDED = ("lora", "rslora", "dora", "ia3", "sharelora", "s2lora")


def test_attach_offers_every_kind() -> None:
    """The kinds of the operation's field are those there are and PEFT's, each reads fields that it has."""
    fields = {spec.name: spec for spec in Attach.specs}
    assert fields["adapter"].choices == (*KINDS, *offered())
    assert all(set(kind.fields) <= set(fields) for kind in KINDS.values())


@pytest.mark.parametrize("kind", KINDS)
def test_starts_as_the_base_and_switched_off_is_the_base(kind: str) -> None:
    """Bit-equal at first where the kind says so, else to rounding; off it is bit-equal always."""
    session, targets = opened(kind)
    inputs = session.opened.inputs
    before = run(session.model, inputs)
    session.attach(targets, kind, **rank(kind))
    after = run(session.model, inputs)
    if KINDS[kind].exact:
        assert torch.equal(after, before)
    else:
        assert torch.allclose(after, before, atol=2e-6)
    train(session.model)
    assert not torch.allclose(run(session.model, inputs), before, atol=1e-3)
    session.activate(off=True)
    assert torch.equal(run(session.model, inputs), before)
    session.undo()
    session.detach()
    assert torch.equal(run(session.model, inputs), before)


@pytest.mark.parametrize("kind", KINDS)
def test_trained_it_saves_and_loads(kind: str, tmp_path: Path) -> None:
    """Two adapters with values of their own, one weighed, are the same after saving and loading."""
    session, targets = opened(kind)
    session.attach(targets, kind, **rank(kind))
    if not KINDS[kind].innermost:
        session.attach(targets, kind, called="second", **rank(kind))
        session.activate("default, second", strengths=[1.0, 0.25])
    train(session.model)
    family = session.patient.model_type
    loads_again(session, tmp_path / "out", into=None if family else session.opened.model)


@pytest.mark.parametrize("kind", KINDS)
def test_folded_it_computes_the_same_or_says_why_not(kind: str) -> None:
    """Folding changes no output by more than 1e-5; what no weight can be is refused with the way out."""
    session, targets = opened(kind)
    session.attach(targets, kind, **rank(kind))
    train(session.model)
    session.activate("default", strengths=[0.75])
    inputs = session.opened.inputs
    before = run(session.model, inputs)
    if kind in FOLDED:
        session.fold()
        assert torch.allclose(run(session.model, inputs), before, atol=1e-5)
        assert not adapters_of(session.model)
    else:
        with pytest.raises(SurgeryError, match="detach") as refusal:
            session.fold()
        assert refusal.value.path in adapters_of(session.model)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_bases_get_no_gradient(kind: str) -> None:
    """With the rest frozen, gradients reach adapters alone, and every tensor of them."""
    session, targets = opened(kind)
    session.freeze("**")
    session.attach(targets, kind, **rank(kind))
    train(session.model)
    model = session.model
    inputs = session.opened.inputs
    out = model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    (out.logits if hasattr(out, "logits") else out).square().sum().backward()
    own = {
        id(parameter)
        for adapter in adapters_of(model).values()
        for parameter in adapter._parameters.values()
        if parameter is not None
    }
    for path, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (id(parameter) in own), path


R = 2
COUNTS = {
    "lora": lambda d, o: R * (d + o),
    "rslora": lambda d, o: R * (d + o),
    "dora": lambda d, o: R * (d + o) + o,
    "ia3": lambda d, o: o,
    "s2lora": lambda d, o: R,
    "mole": lambda d, o: 4 * R * (d + o) + 4 * d,
}


@pytest.mark.parametrize("kind", COUNTS)
def test_it_adds_what_its_formula_says(kind: str) -> None:
    """Parameters per module are those of the paper; what is shared by all of a shape counts once."""
    session, targets = opened(kind)
    linear = [session.patient.module(path) for path in resolve(targets, session.model)]
    widths = [(item.in_features, item.out_features) for item in linear if isinstance(item, nn.Linear)]
    before = session.graph
    preview = session.preview(Attach.of(targets, kind, **rank(kind)))
    shared = sum(R * (d + o) for d, o in set(widths)) if kind == "s2lora" else 0
    added = sum(COUNTS[kind](d, o) for d, o in widths) + shared
    assert preview.after.parameters - preview.before.parameters == added
    assert session.graph is before


def test_a_bottleneck_adds_what_its_formula_says() -> None:
    """2 d r + r + d for each module of width d."""
    session, targets = opened("bottleneck")
    session.attach(targets, "bottleneck", rank=3)
    for adapter in adapters_of(session.model).values():
        d = 16
        assert sum(item.numel() for item in adapter.parameters(recurse=False)) == 2 * d * 3 + 3 + d


@pytest.mark.parametrize("squeeze, count", [("both", 2 * 16 * 4 + 16), ("channel", 128), ("space", 16)])
def test_gates_add_what_their_formula_says(squeeze: str, count: int) -> None:
    """2 C r for the channels (C / r in the paper is r here), C for the places."""
    session, _ = opened("scse")
    inputs = session.opened.inputs
    before = run(session.model, inputs)
    session.attach("stage2[0]", "scse", rank=4, squeeze=squeeze)
    (adapter,) = adapters_of(session.model).values()
    assert sum(item.numel() for item in adapter.parameters(recurse=False)) == count
    assert torch.equal(run(session.model, inputs), before)


@pytest.mark.parametrize("share, own", [("a", "lora_B"), ("b", "lora_A"), ("both", None)])
def test_sharelora_shares_by_role(share: str, own: str | None) -> None:
    """What is shared is one Parameter for all ups and another for all downs; the rest is each one's."""
    session, _ = opened("sharelora")
    session.attach("**.{up,down}", "sharelora", rank=2, share=share)
    found = adapters_of(session.model)
    for name in ("lora_A", "lora_B"):
        roles = {
            role: {id(item.get_parameter(name)) for path, item in found.items() if path.endswith(role)}
            for role in ("up", "down")
        }
        counts = {len(ids) for ids in roles.values()}
        assert counts == ({len(found) // 2} if name == own else {1})
        assert not roles["up"] & roles["down"]


def test_s2lora_learns_at_first() -> None:
    """With s zero and A and B drawn, s has a gradient at the first step: with B zero too nothing would."""
    session, targets = opened("s2lora")
    session.attach(targets, "s2lora", rank=2)
    inputs = session.opened.inputs
    session.model(**inputs).square().sum().backward()
    for adapter in adapters_of(session.model).values():
        assert adapter.get_parameter("s").grad.abs().max() > 0  # type: ignore[union-attr]


def test_a_mixture_takes_the_expert_of_each_token() -> None:
    """The output is the base's plus p times what the likeliest expert's B A makes of the token, by a loop."""
    session, _ = opened("mole")
    session.attach("blocks[0].up", "mole", rank=2, experts=3, alpha=5.0)
    train(session.model)
    (adapter,) = adapters_of(session.model).values()
    a, b, router = (adapter.get_parameter(name) for name in ("lora_A", "lora_B", "router"))
    x = torch.randn(4, 5, a.shape[1], generator=torch.Generator().manual_seed(1))
    wanted = adapter.base(x).detach().clone()
    chosen = []
    for row in range(4):
        for column in range(5):
            token = x[row, column]
            p = (router @ token).softmax(0)
            e = int(p.argmax())
            chosen.append(e)
            wanted[row, column] += 5.0 / 2 * p[e] * (b[:, 2 * e : 2 * e + 2] @ (a[2 * e : 2 * e + 2] @ token))
    assert len(set(chosen)) > 1
    assert torch.allclose(adapter(x), wanted, atol=1e-5)
    even = torch.zeros_like(router)
    with torch.no_grad():
        router.copy_(even)
    assert adapter.balance_loss(x).item() == pytest.approx(1.0)  # p is ⅓ everywhere


def test_squeeze_and_excitation_is_the_papers() -> None:
    """The gate is σ(W₂ relu(W₁ mean)) for each channel plus σ(v · h) for each place."""
    session, _ = opened("scse")
    session.attach("stem[0]", "scse", rank=3)
    train(session.model)
    (adapter,) = adapters_of(session.model).values()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    h = adapter.base(x)
    inner = torch.relu(h.mean((2, 3)) @ adapter.channel_down.T)
    channel = torch.sigmoid(inner @ adapter.channel_up.T)[:, :, None, None]
    place = torch.sigmoid(torch.einsum("nchw,c->nhw", h, adapter.space))[:, None]
    assert torch.allclose(adapter(x), h * channel + h * place, atol=1e-5)


def test_a_graph_knows_the_classes_of_adapters() -> None:
    """Every class of adapters that ships is drawn as one node with what it wraps."""

    def all_below(cls: type) -> set[type]:
        return {cls}.union(*map(all_below, cls.__subclasses__()))

    made = {cls.__name__ for cls in all_below(Adapter) if cls.__module__.startswith("surgery.")}
    assert made - {"Adapter", "LowRank"} == CLASSES


REFUSED = [
    ("norm", "lora", {}, "is no linear module, convolution or embedding", "Linear"),
    ("embed", "dora", {}, "is no linear module", "Linear or Conv1D"),
    ("**.up", "ia3", {"rank": 2}, "has no rank", "side"),
    ("**.up", "lora", {"experts": 3}, "has no experts", "rank"),
    ("blocks", "bottleneck", {}, "gives nothing whose last dimension", None),
    ("embed", "scse", {}, "has no convolution or batch norm", None),
    ("**.up", "lora", {"called": "a,b"}, "is no name for an adapter", "letters"),
]


@pytest.mark.parametrize("targets, kind, fields, said, expected", REFUSED)
def test_refused(targets: str, kind: str, fields: dict[str, Any], said: str, expected: str | None) -> None:
    """What does not suit a kind is refused with what it wants, and nothing has changed."""
    session, _ = opened("lora")
    with pytest.raises(SurgeryError, match=said) as refusal:
        session.attach(targets, kind, **fields)
    assert expected is None or expected in str(refusal.value.expected)
    assert not session.steps
