"""Replay leaves out the traces between where that is enough, and refuses what a session refuses."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Script, SurgeryError
from surgery.tracing import Tracing
from tests.surgery.states import run
from tests.zoo import ZOO

X = torch.zeros(1, 4)


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The models that are traced from here on."""
    seen: list[nn.Module] = []
    traced = Tracing._extracted

    def counting(self: Tracing, model: nn.Module, *rest: Any) -> Any:
        seen.append(model)
        return traced(self, model, *rest)

    monkeypatch.setattr(Tracing, "_extracted", counting)
    return seen


def made() -> surgery.Session:
    """Four steps on the small Llama."""
    session = surgery.open(*ZOO["llama"]())
    session.remove("model.layers[0]")
    session.attach("**.q_proj", rank=2)
    session.fold()
    session.tie("model.layers[1].mlp", to="model.layers[0].mlp")
    return session


def test_what_was_recorded_is_traced_at_its_ends(traces: list[nn.Module]) -> None:
    """Result, outputs, and graph and names of each state are those of the session that made the script."""
    session = made()
    script, (model, inputs) = Script.from_json(session.script.to_json()), ZOO["llama"]()
    traces.clear()
    again = surgery.replay(script, model, inputs=inputs)
    assert len(traces) == 2  # the base and the last state
    assert again.history.base.graph == session.history.base.graph
    assert again.graph == session.graph
    assert torch.equal(run(again.model, inputs), run(session.model, inputs))
    for one, two in zip(again.history, session.history, strict=True):
        assert (one.id, one.step, one.places) == (two.id, two.step, two.places)
    for state in range(5):
        again.goto(state), session.goto(state)
        assert again.graph == session.graph
        assert again.fingerprint() == session.fingerprint()


@pytest.mark.parametrize("change", ["no result", "another step"])
def test_what_nobody_recorded_is_traced_step_by_step(traces: list[nn.Module], change: str) -> None:
    """A script whose result is not known, or is not the one found, is proved as if made by hand."""
    data, (model, inputs) = json.loads(made().script.to_json()), ZOO["llama"]()
    if change == "no result":
        data["result"] = {"fingerprint": None}
    else:
        data["steps"][3]["start"] = "average"
    traces.clear()
    refused = pytest.raises(SurgeryError, match="the result is not the one recorded")
    with refused if change == "another step" else nullcontext():
        surgery.replay(Script.from_json(json.dumps(data)), model, inputs=inputs)
    assert len(traces) == 5  # the base and every state


def chain() -> nn.Module:
    """Two ways to be broken, and one to be mended: the widths are 4, 8, 4, 4, 4."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4), nn.Linear(4, 4), nn.Linear(4, 4)).eval()


def by_hand(steps: list[dict[str, Any]], result: str | None = None) -> Script:
    """A script on the chain that no session has made."""
    base = surgery.open(chain(), X).script
    data = json.loads(base.to_json()) | {"steps": steps, "result": {"fingerprint": result}}
    return Script.from_json(json.dumps(data))


def remove(targets: str) -> dict[str, Any]:
    """The step as data."""
    return {"operation": "remove", "targets": targets}


BROKEN = {
    "at the end": [remove("[2]"), remove("[0]")],
    "in the middle and mended": [remove("[0]"), remove("[0]"), remove("[1]")],
    "before a step that is refused": [remove("[0]"), remove("[9]")],
    "before a step that nobody reads": [remove("[1]"), {"operation": "tie", "targets": "[0]", "to": "[1]"}],
    "nowhere, but a step is refused": [remove("[2]"), remove("[9]")],
    "nowhere, but a name is gone": [remove("[2]"), remove("[3]")],
}


@pytest.mark.parametrize("name", BROKEN)
def test_refusals_are_those_of_a_session(name: str) -> None:
    """The same sentence as when steps are made one by one, which stops at the first that breaks the model."""
    steps = BROKEN[name]
    session = surgery.open(chain(), X)
    with pytest.raises(SurgeryError) as one_by_one:
        for step in steps:
            session.remove(step["targets"])
    with pytest.raises(SurgeryError) as replayed:
        surgery.replay(by_hand(steps), chain(), inputs=X)
    assert str(replayed.value) == str(one_by_one.value)


def test_a_recorded_result_that_does_not_run_is_refused() -> None:
    """Whatever fingerprint a script claims, the last state is traced."""
    from surgery.operations.remove import Remove

    broken = surgery.open(chain(), X)
    broken.apply_unchecked(Remove(targets="[0]"))
    script = broken.script
    assert script.result is not None
    with pytest.raises(SurgeryError, match="after remove the forward would fail here"):
        surgery.replay(script, chain(), inputs=X)


def test_a_base_that_did_not_run_is_held_to_nothing() -> None:
    """As in a session: what was broken before the first step is no step's fault."""
    model = nn.Sequential(*(nn.Linear(2, 3) for _ in range(3))).eval()
    session = surgery.open(model, torch.zeros(1, 2))
    session.remove("[1]")
    assert session.graph.problem is not None
    again = surgery.replay(session.script, model, inputs=torch.zeros(1, 2))
    assert again.fingerprint() == session.fingerprint()
    assert again.graph.problem == session.graph.problem


def test_an_interrupt_is_passed_on_at_once(monkeypatch: pytest.MonkeyPatch, traces: list[nn.Module]) -> None:
    """Nobody who stops a replay waits for its states to be traced."""

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    script, (model, inputs) = made().script, ZOO["llama"]()
    monkeypatch.setattr("surgery.runs.compute", stopped)
    traces.clear()
    with pytest.raises(KeyboardInterrupt):
        surgery.replay(script, model, inputs=inputs)
    assert len(traces) == 1  # the base
