"""Several adapters at once: attached beside each other, switched, weighed, made one, taken off one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

import surgery
from graph.costs import costs
from surgery import SurgeryError
from surgery.checkpoint.plain import made_plain
from surgery.session import Session
from tests.surgery.adapters.trained import adapters_of, opened, train
from tests.surgery.contract import MODELS
from tests.surgery.states import run

TARGETS = "blocks[0:2].{up,down}"


def two(rank: int = 2, other: int = 2) -> Session:
    """A session with the adapters `default` and `style`, both with values of their own."""
    session, _ = opened("lora")
    session.attach(TARGETS, rank=rank)
    session.attach(TARGETS, rank=other, called="style", alpha=3.0)
    train(session.model)
    return session


def out(session: Session) -> torch.Tensor:
    """The output on the example inputs."""
    return run(session.model, session.opened.inputs)


def delta(module: nn.Module) -> torch.Tensor:
    """Scale · B A of a LoRA, by hand."""
    return module.scale * module.lora_B @ module.lora_A  # type: ignore[operator, union-attr, return-value]


def test_they_add_up() -> None:
    """Two active adapters add both their products; the later one is around the earlier."""
    session = two()
    up = session.patient.module("blocks.0.up")
    assert (up.name, up.base.name) == ("style", "default")  # type: ignore[union-attr]
    x = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))
    linear = up.base.base  # type: ignore[union-attr]
    wanted = x @ (linear.weight + delta(up) + delta(up.base)).T + linear.bias  # type: ignore[arg-type, operator, union-attr]
    assert torch.allclose(up(x), wanted, atol=1e-5)


def test_one_drawn_beside_another_is_another() -> None:
    """With the same seed an adapter of another name has other values, the same whatever is beside it."""
    session, _ = opened("lora")
    session.attach(TARGETS, rank=2)
    session.attach(TARGETS, rank=2, called="style")
    again, _ = opened("lora")
    again.attach(TARGETS, rank=2, called="style")
    up, alone = session.patient.module("blocks.0.up"), again.patient.module("blocks.0.up")
    assert torch.equal(up.lora_A, alone.lora_A)  # type: ignore[arg-type]
    assert not torch.equal(up.lora_A, up.base.lora_A)  # type: ignore[arg-type, union-attr]


def test_switching_and_weighing() -> None:
    """Named adapters are active at their strengths, the others off; one alone is as if by itself."""
    session = two()
    both = out(session)
    session.activate("style")
    style = out(session)
    assert not torch.allclose(style, both, atol=1e-3)
    session.detach(called="default")
    assert torch.equal(out(session), style)
    session.undo()
    session.activate("default, style", strengths=[0.5, -1.0])
    up = session.patient.module("blocks.0.up")
    x = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))
    linear = up.base.base  # type: ignore[union-attr]
    wanted = x @ (linear.weight - delta(up) + 0.5 * delta(up.base)).T + linear.bias  # type: ignore[arg-type, operator, union-attr]
    assert torch.allclose(up(x), wanted, atol=1e-5)
    session.activate("default, style")
    assert torch.equal(out(session), both)


def test_what_is_off_costs_nothing() -> None:
    """The graph after switching off has the MACs of the model without adapters."""
    session, _ = opened("lora")
    plain = costs(session.graph)
    session.attach(TARGETS, rank=2)
    preview = session.preview("activate", off=True)
    assert preview.before.macs_per_token > preview.after.macs_per_token  # type: ignore[operator]
    session.activate(off=True)
    assert costs(session.graph).macs_per_token == preview.after.macs_per_token == plain.macs_per_token


def test_folding_one_leaves_the_other() -> None:
    """The inner or the outer of two low-rank adapters is folded alone, and the output stays."""
    for name, left in (("default", "style"), ("style", "default")):
        session = two()
        before = out(session)
        session.fold(called=name)
        assert {item.name for item in adapters_of(session.model).values()} == {left}
        assert torch.allclose(out(session), before, atol=1e-5)


def test_folding_leaves_what_is_off() -> None:
    """An adapter that is off is no part of the weight, and still there to be switched on."""
    session = two()
    session.activate("style")
    before = out(session)
    session.fold()
    assert torch.allclose(out(session), before, atol=1e-5)
    assert {item.name for item in adapters_of(session.model).values()} == {"default"}
    with pytest.raises(SurgeryError, match="none of these adapters is active"):
        session.fold()


def test_folding_around_what_multiplies_is_refused() -> None:
    """A low-rank adapter around gates cannot be folded past them; all together they can."""
    session, _ = opened("lora")
    session.attach("blocks[0].up", "ia3")
    session.attach("blocks[0].up", rank=2, called="style")
    train(session.model)
    before = out(session)
    with pytest.raises(SurgeryError, match="lies around the adapter 'default'"):
        session.fold(called="style")
    session.fold()
    assert torch.allclose(out(session), before, atol=1e-5)


@pytest.mark.parametrize("how", ["cat", "linear", "svd"])
@pytest.mark.parametrize("layer", ["linear", "conv", "embedding"])
@pytest.mark.parametrize("weights", [(0.7, 0.4), (1.0, -0.5)])
def test_combining_is_pefts(how: str, layer: str, weights: tuple[float, float]) -> None:
    """The product of the combined factors is that of PEFT's add_weighted_adapter on the same values."""
    torch.manual_seed(0)
    made: dict[str, tuple[nn.Module, Any]] = {
        "linear": (nn.Linear(7, 9), torch.randn(2, 7)),
        "conv": (nn.Conv2d(7, 9, 3), torch.randn(2, 7, 5, 5)),
        "embedding": (nn.Embedding(7, 9), torch.tensor([[1, 2]])),
    }
    inner, x = made[layer]
    session = surgery.open(nn.Sequential(inner).eval(), (x,))
    session.attach("[0]", rank=3, alpha=5.0)
    session.attach("[0]", rank=3, alpha=2.0, called="style")
    train(session.model)
    found = {item.name: item for item in adapters_of(session.model).values()}
    theirs: Any = get_peft_model(
        nn.Sequential(inner).eval(), LoraConfig(r=3, lora_alpha=5, target_modules=["0"])
    )
    theirs.add_adapter("style", LoraConfig(r=3, lora_alpha=2, target_modules=["0"]))
    target = theirs.base_model.model[0]
    with torch.no_grad():
        for name, adapter in found.items():
            for key, value in adapter._parameters.items():
                assert value is not None
                held = getattr(target, key)[name]
                (held if isinstance(held, torch.Tensor) else held.weight).copy_(value)
        rank = {"svd_rank": 2} if how == "svd" else {}
        theirs.add_weighted_adapter(["default", "style"], list(weights), "both", how, **rank)
        wanted = target.get_delta_weight("both")
    session.combine(
        "default, style", how, weights=list(weights), into="both", **({"rank": 2} if how == "svd" else {})
    )
    (one,) = adapters_of(session.model).values()
    assert (one.name, one.scale, one.active) == ("both", 1.0, True)
    a, b = one._parameters.values()
    assert a is not None and b is not None
    product = (b.flatten(1) @ a.flatten(1)).detach()
    product = product.T if layer == "embedding" else product.view(wanted.shape)
    assert torch.allclose(product, wanted, atol=1e-5)


def test_combining_keeps_the_output() -> None:
    """Put one above the other, as they are weighed now, two adapters of different ranks are one, exactly."""
    session = two(2, 3)
    session.activate("default, style", strengths=[0.5, 2.0])
    before = out(session)
    session.combine("default, style")
    found = adapters_of(session.model)
    assert {(item.name, item.rank) for item in found.values()} == {("combined", 5)}
    assert torch.allclose(out(session), before, atol=1e-5)


REFUSED = [
    (lambda s: s.activate("stile"), "carries no adapter called 'stile'", "`style`"),
    (lambda s: s.activate("default, style"), "so already", ""),
    (lambda s: s.activate("default, style", strengths=[1.0]), "one strength each", "off"),
    (lambda s: s.detach(called="stile"), "carries no adapter called 'stile'", "`style`"),
    (lambda s: s.combine("style"), "two adapters or more", ""),
    (lambda s: s.combine("default, style", "linear"), "differ in rank", "cat"),
    (lambda s: s.combine("default, style", rank=2), "no rank to choose", "svd"),
    (lambda s: s.combine("default, style", "svd", rank=6), "has no such rank", ""),
    (lambda s: s.attach(TARGETS, called="style"), "carries an adapter already called 'style'", "called"),
    (lambda s: s.attach(TARGETS, "dora", called="third"), "must be the first adapter", "before"),
]


@pytest.mark.parametrize("does, said, hint", REFUSED)
def test_refused(does: Any, said: str, hint: str) -> None:
    """What cannot be is refused with a way out, and nothing has changed."""
    session = two(2, 3)
    with pytest.raises(SurgeryError, match=said) as refusal:
        does(session)
    assert hint in str(refusal.value)
    assert len(session.steps) == 2


def test_what_cannot_be_combined() -> None:
    """A mixture is no sum of low-rank products; gates between two adapters change what the inner one adds."""
    session, _ = opened("lora")
    session.attach("blocks[0].up")
    session.attach("blocks[0].up", "ia3", called="gates")
    session.attach("blocks[0].up", called="style")
    with pytest.raises(SurgeryError, match="'gates' between the adapters"):
        session.combine("default, style")
    with pytest.raises(SurgeryError, match="no sum of low-rank products"):
        session.combine("default, gates")
    with pytest.raises(SurgeryError, match="called 'gates' already"):
        session.combine("default, style", into="gates")


def test_an_ordinary_model_has_none_that_are_off() -> None:
    """Saved plain, active adapters are folded in at their strengths and those that are off are gone."""
    model, inputs = MODELS["llama"]()
    session = surgery.open(model, inputs)
    session.attach("**.{q,v}_proj", rank=2)
    session.attach("**.q_proj", rank=2, called="style")
    train(session.model)
    session.activate("style", strengths=[0.5])
    made = made_plain(session)
    assert [step.name for step in made.steps] == ["detach", "fold"]
    assert torch.allclose(run(made.model, inputs), out(session), atol=1e-5)
    assert not torch.allclose(run(model, inputs), out(session), atol=1e-3)
