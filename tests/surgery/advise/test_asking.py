"""Asking a session: what is kept, what stays untouched, and how it ends."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery.advise import Case, adviser_named
from surgery.errors import SurgeryError
from surgery.evaluate import Stopped, tensors
from tests.surgery.advise.models import TURN, Stack, classifier, plane
from tests.zoo import ATLAS

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_adviser_leaves_the_session_as_it_was() -> None:
    """Tensors, gradients, flags, modes, hooks and the random state; of a model in training too."""
    torch.manual_seed(0)
    session = surgery.open(ATLAS["llama"]()[0].train())
    model, drawn = session.model, torch.random.get_rng_state()
    before = {name: (held.data_ptr(), held._version) for name, held in model.named_parameters()}
    for name in surgery.advisers():
        try:
            session.advise(name, budget_s=0, device="cpu", examples=_windows())
        except SurgeryError as refusal:
            assert name == "expert_usage", refusal
    assert session.model is model and torch.equal(torch.random.get_rng_state(), drawn)
    assert all(module.training for module in model.modules())
    for held in (session.model, session.opened.model):
        assert all(not module._forward_hooks and not module._forward_pre_hooks for module in held.modules())
        for name, parameter in held.named_parameters():
            assert parameter.grad is None and parameter.requires_grad
            assert (parameter.data_ptr(), parameter._version) == before[name]
    assert len(session.history.current.advice) == len(surgery.advisers()) - 1


def test_what_fails_leaves_no_hook() -> None:
    """The shell that it ran on is clean again after an error, too."""

    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("no")

    model = Stack([Broken(), Broken()])
    case = Case(model, lambda: tensors(torch.zeros(2, 3)), device="cpu")
    with pytest.raises(SurgeryError, match=r"the model cannot run on these examples: ValueError: no"):
        adviser_named("block_influence")().score(case)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in case.model.modules())


def test_advice_is_the_states() -> None:
    """It is of the current state, under its paths, and stays with it; watchers are told."""
    session, examples = plane(TURN, torch.eye(2), torch.eye(2))
    told = []

    class Watcher:
        def note(self) -> None:
            told.append(session.history.current.id)

    watcher = Watcher()
    session.history.watchers.add(watcher.note)
    first = session.advise("block_influence", examples=examples)
    assert session.history.current.advice == {"block_influence": first} and told == [0]
    session.remove("blocks[0]")
    assert session.history.current.advice == {}
    second = session.advise("block_influence", examples=examples)
    assert second.values == {"blocks.0": 0.0, "blocks.1": 0.0}
    session.undo()
    assert session.history.current.advice["block_influence"] is first
    assert first.values["blocks.0"] == pytest.approx(1.0, abs=1e-6)


def test_advisers_by_word_class_and_object() -> None:
    """A field goes behind the name or beside it; an object has its own."""
    session, examples = plane(TURN, TURN)
    kind = adviser_named("angular_distance")
    found: list[Any] = [
        session.advise("angular_distance:n=2", examples=examples),
        session.advise("angular_distance", n=2, examples=examples),
        session.advise(kind, n=2, examples=examples),
        session.advise(kind(n=2), examples=examples),
    ]
    assert {advice.numbers for advice in found} == {found[0].numbers} and found[0].fields == {"n": 2}
    with pytest.raises(SurgeryError, match=r"angular_distance has its fields already; got n\."):
        session.advise(kind(n=2), n=3)
    with pytest.raises(SurgeryError, match=r"no adviser is called 'block_influense'; .*`block_influence`"):
        session.advise("block_influense")
    with pytest.raises(SurgeryError, match=r"angular_distance\.n is out of bounds; got 0"):
        session.advise("angular_distance", n=0)


def test_a_budget_is_a_number_of_examples() -> None:
    """None spends one batch, plenty takes all; progress ends at one, with what was seen."""
    session, _ = classifier()
    torch.manual_seed(0)
    many = tensors(torch.randn(200, 4))
    seen: list[tuple[float, str]] = []
    little = session.advise(
        "block_influence", budget_s=0, examples=many, progress=lambda *at: seen.append(at)
    )
    assert little.examples == 64 and seen[-1] == (1.0, "64 examples")
    seen.clear()
    whole = session.advise(
        "block_influence", budget_s=1e9, examples=many, progress=lambda *at: seen.append(at)
    )
    assert whole.examples == 200 and [share for share, _ in seen] == pytest.approx([0.32, 0.64, 0.96, 1, 1])
    with pytest.raises(SurgeryError, match="a budget is a time"):
        session.advise("block_influence", budget_s=float("nan"))


def test_stopping() -> None:
    """At once where it was asked before, and between batches where it is asked then; nothing is kept."""
    session, _ = classifier()
    stop = threading.Event()
    many = tensors(torch.randn(200, 4))
    with pytest.raises(Stopped):
        session.advise("block_influence", "blocks[*]", 1e9, many, stop=stop, progress=lambda *_: stop.set())
    with pytest.raises(Stopped):
        session.advise("weight_norm", stop=stop)
    assert session.history.current.advice == {}


def test_memory_that_runs_out_halves_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is the same, of as many examples."""
    session, _ = classifier()
    many = tensors(torch.randn(60, 4))
    whole = session.advise("block_influence", budget_s=1e9, examples=many)
    sizes = []
    from surgery.evaluate.running import Runner

    passed = Runner.passed

    def limited(runner: Runner, batch: Any, *, whole: bool) -> Any:
        if len(batch) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(batch))
        return passed(runner, batch, whole=whole)

    monkeypatch.setattr(Runner, "passed", limited)
    halved = session.advise("block_influence", budget_s=1e9, examples=many)
    assert sizes == [15] * 4 and halved.numbers == pytest.approx(whole.numbers)


def test_a_skeleton_is_refused() -> None:
    """It has no weights, and nothing can be run."""
    model, inputs = ATLAS["tied_head"]()
    with pytest.raises(SurgeryError, match="a model opened without weights has nothing that could be scored"):
        surgery.open(model, inputs, skeleton=True).advise("weight_norm")


def test_what_is_not_a_tensor_of_numbers_is_refused() -> None:
    """A loss that is NaN has no gradient that says anything."""
    session, examples = classifier()
    session.model.get_parameter("head.bias").data.fill_(float("nan"))
    with pytest.raises(SurgeryError, match="losses are not numbers, so there is nothing to measure"):
        session.advise("snip", examples=examples)


def test_every_advice_is_plain_data() -> None:
    """JSON without NaN, whichever adviser."""
    session = surgery.open(ATLAS["llama"]()[0])
    for name in surgery.advisers():
        if name != "expert_usage":
            advice = session.advise(name, budget_s=0, examples=_windows())
            data = json.loads(json.dumps(advice.to_dict(), allow_nan=False))
            assert data["adviser"] == name and len(data["items"]) == len(advice)
            assert advice.scores.values and advice.scores.legend["title"]


def _windows() -> Any:
    from surgery.evaluate import token_windows

    return token_windows(torch.arange(64).reshape(8, 8) * 5 % 64)
