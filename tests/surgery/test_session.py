"""The session: what is no operation changes nothing, and what is refused leaves no trace."""

from pathlib import Path

import pytest
import torch

import surgery
from surgery import SurgeryError
from tests.surgery.states import run, snapshot
from tests.zoo import ZOO


@pytest.fixture
def session() -> surgery.Session:
    """A session on the small Llama with a step made."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.remove("model.layers[1]")
    return session


def test_saving_changes_nothing(session: surgery.Session, tmp_path: Path) -> None:
    """Objects, order and config of the model under surgery are the same after it was written."""
    before = snapshot(session.model)
    session.save(tmp_path / "out")
    assert snapshot(session.model) == before


def test_looking_changes_nothing(session: surgery.Session) -> None:
    """Graph, script, fingerprint and an evaluation only read."""
    before = snapshot(session.model)
    session.graph, session.script, session.fingerprint()
    report = session.evaluate(budget_s=0.0)
    assert session.history.current.report is report
    assert snapshot(session.model) == before


def test_the_graph_is_traced_once_per_state(
    session: surgery.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going back and forth gives the very graphs of before: nothing is traced again."""
    graphs = {session.history.current.id: session.graph}
    session.undo()
    graphs[0] = session.graph

    def never(*_: object, **__: object) -> None:
        raise AssertionError("traced again")

    monkeypatch.setattr("surgery.tracing.extract", never)
    for state in (1, 0, 1):
        session.goto(state)
        assert session.graph is graphs[state]


def test_a_failure_within_an_edit_is_rolled_back(
    session: surgery.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stops a step half-way, an interrupt too, leaves model, history and script as they were."""
    before, script = snapshot(session.model), session.script.to_json()

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("surgery.runs.compute", stopped)
    with pytest.raises(KeyboardInterrupt):
        session.merge("model.layers[0:2]")
    assert snapshot(session.model) == before
    assert session.script.to_json() == script
    monkeypatch.undo()
    session.merge("model.layers[0:2]")
    assert run(session.model, session.opened.inputs).isfinite().all()


def test_training_the_edited_model_leaves_the_opened_one() -> None:
    """A gradient through the edited model lands on its own Parameters only."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    session.remove("blocks[0]")
    session.model.train()
    session.model(**inputs).sum().backward()
    assert not model.training
    assert [name for name, parameter in model.named_parameters() if parameter.grad is not None] == []
    assert all(parameter.grad is not None for parameter in session.model.parameters())


def test_operations_are_methods(session: surgery.Session) -> None:
    """By their names, with values in the order of their fields; anything else is no attribute."""
    state = session.tie("model.layers[1]", "model.layers[0]")
    assert state.id == 2 and state.step == session.steps[-1]
    first, second = (session.model.get_submodule(f"model.layers.{index}") for index in (0, 1))
    assert first.get_parameter("mlp.up_proj.weight") is second.get_parameter("mlp.up_proj.weight")
    with pytest.raises(AttributeError, match="no attribute or operation 'tye'"):
        session.tye("model.layers[1]")
    with pytest.raises(SurgeryError, match="tie has 4 fields; got 5 values"):
        session.tie("a", "b", "to", False, 1)
    with pytest.raises(SurgeryError, match=r"tie\.to is given twice"):
        session.tie("a", "b", to="c")


def test_a_model_that_does_not_run_can_still_be_edited() -> None:
    """Where the opened forward fails already, a step is not held to what was broken before it."""
    model = torch.nn.Sequential(*(torch.nn.Linear(2, 3) for _ in range(3))).eval()
    session = surgery.open(model, torch.zeros(1, 2))
    assert session.graph.problem is not None
    session.remove("[1:]")
    assert session.graph.problem is None
