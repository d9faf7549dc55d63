"""The dry run: figures before any tensor is made, bounds that hold, errors that would come."""

import gc
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from graph.costs import costs
from surgery import SurgeryError
from surgery.operation import Operation
from surgery.registry import operation_named
from tests.surgery.states import snapshot
from tests.zoo import ZOO


def session_on(name: str) -> surgery.Session:
    """A session on a model of the zoo."""
    model, inputs = ZOO[name]()
    return surgery.open(model, inputs)


def step(name: str, *values: Any, **named: Any) -> Operation:
    """An operation, unresolved."""
    return operation_named(name).of(*values, **named)


def nonzeros(model: nn.Module) -> int:
    """Parameters that are not zero, a tied one counted once."""
    return sum(int(torch.count_nonzero(parameter)) for parameter in model.parameters())


CHAINS: dict[str, list[Operation]] = {
    "the second sees what the first left": [step("remove", "blocks[0]"), step("remove", "blocks[0]")],
    "a tie of what moved": [step("remove", "blocks[0]"), step("tie", "blocks[2]", to="blocks[0]")],
    "adapters folded in": [step("attach", "blocks[0].up", rank=3), step("fold", "**")],
    "merged, then thinned": [step("merge", "blocks[0:2]"), step("sparsify", "blocks", 0.4, "global")],
    "thinned, then a block out": [step("sparsify", "**", 0.5, "global"), step("remove", "blocks[0]")],
    "thinned, then most blocks out": [step("sparsify", "**", 0.9, "global"), step("remove", "blocks[1:]")],
    "thinned, then tied": [step("sparsify", "blocks", 0.5), step("tie", "blocks[1:]", to="blocks[0]")],
    "thinned, then merged": [step("sparsify", "blocks", 0.5, "global"), step("merge", "blocks[1:3]")],
    "thinned twice": [step("sparsify", "blocks", 0.5), step("sparsify", "blocks.0", 0.7)],
}


@pytest.mark.parametrize("name", CHAINS)
def test_steps_are_previewed_one_after_another(name: str) -> None:
    """Costs after all steps are those of the model once they were made; the bound on non-zeros holds."""
    session = session_on("tied_head")
    before, objects = costs(session.graph), snapshot(session.model)
    preview = session.preview(*CHAINS[name])
    assert snapshot(session.model) == objects and len(session.steps) == 0
    for item in CHAINS[name]:
        session.apply(item)
    assert (preview.before, preview.after) == (before, costs(session.graph))
    assert preview.steps == session.steps
    if preview.nonzero is not None:
        assert preview.nonzero[0] == nonzeros(ZOO["tied_head"]()[0])
        assert nonzeros(session.model) <= preview.nonzero[1]


def test_the_bound_is_exact_where_nothing_was_zero() -> None:
    """Half of all weights of a model without zeros: the bound is the figure."""
    session = session_on("llama")
    preview = session.preview(step("sparsify", "**:Linear", 0.5, "global"))
    session.sparsify("**:Linear", 0.5, "global")
    assert preview.nonzero is not None and preview.nonzero[1] == nonzeros(session.model)
    assert ("Non-zeros", *preview.nonzero, True) in preview.rows()


def test_one_step_may_be_said_in_words() -> None:
    """By the operation's name and its fields, as its method takes them."""
    session = session_on("tied_head")
    said = session.preview("tie", "blocks[1]", to="blocks[0]")
    assert said.steps == session.preview(step("tie", "blocks[1]", to="blocks[0]")).steps
    with pytest.raises(SurgeryError, match="no operation is called 'tye'"):
        session.preview("tye", "blocks[1]")


def test_no_steps_cost_nothing() -> None:
    """Previewing nothing gives the present state twice."""
    session = session_on("llama")
    preview = session.preview()
    assert preview.before == preview.after == costs(session.graph)
    assert preview.steps == () and preview.nonzero is None


def test_no_tensor_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No recipe runs, and no weight is read to count zeros that no step makes: a 70B previews at once."""
    session = session_on("tied_head")

    def never(*_: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr("surgery.runs.compute", never)
    monkeypatch.setattr(torch, "count_nonzero", never)
    assert "blocks.2" in session.preview(step("merge", "blocks[0:2]")).graph


def test_a_step_that_would_break_the_forward_is_refused() -> None:
    """The same sentence as applying it gives, at the same module."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(2, 2)).eval()
    session = surgery.open(model, torch.zeros(1, 4))
    sentences = []
    for act in (session.preview, session.apply):
        with pytest.raises(SurgeryError) as refusal:
            act(step("remove", "[1]"))
        sentences.append(str(refusal.value))
    assert sentences[0] == sentences[1]
    assert sentences[0].startswith("1: after remove the forward would fail here")


def test_origins_are_those_of_the_session() -> None:
    """A block that would move up keeps its origin in the previewed graph, as on the canvas."""
    session = session_on("tied_head")
    session.remove("blocks[0]")
    graph = session.preview(step("remove", "blocks[0]")).graph
    assert graph["blocks.0"].origin == "blocks.2"


def test_a_skeleton_previews_what_the_whole_model_does() -> None:
    """Without weights the figures are the same; only the bound does not know which weights are zero."""
    previews = []
    for skeleton in (True, False):
        session = surgery.open("demo", skeleton=skeleton)
        previews.append(
            session.preview(step("remove", "model.layers[3]"), step("attach", "**.q_proj", rank=4))
        )
    assert previews[0].after == previews[1].after and previews[0].before == previews[1].before


def test_text_shows_before_after_and_change() -> None:
    """A line per figure that is known, bounds marked ≤."""
    session = session_on("llama")
    lines = str(session.preview(step("sparsify", "model.layers.0", 0.5))).splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "Parameters", "Bytes", "MACs per token", "KV cache per token", "Non-zeros",
    ]  # fmt: skip
    assert [("≤" in line) for line in lines] == [False] * 4 + [True]
    parameters = sum(parameter.numel() for parameter in session.model.parameters())
    assert lines[0].split() == ["Parameters", f"{parameters:,}", "→", f"{parameters:,}", "+0"]


def test_tied_parameters_are_counted_once() -> None:
    """A tie's saving shows: one block's parameters less, bytes in proportion, MACs as before."""
    session = session_on("llama")
    preview = session.preview(step("tie", "model.layers[1]", to="model.layers[0]"))
    block = sum(p.numel() for p in session.model.get_submodule("model.layers.1").parameters())
    assert preview.before.parameters - preview.after.parameters == block
    assert preview.before.size_bytes - preview.after.size_bytes == 4 * block
    assert preview.after.macs == preview.before.macs


def test_a_preview_is_of_the_model_as_it_is() -> None:
    """After a step, an undo, a jump, and after the user changed the config or a weight by hand."""
    session = session_on("llama")
    steps = step("remove", "model.layers[0]"), step("sparsify", "**.mlp", 0.5)

    def agrees() -> None:
        preview, state = session.preview(*steps), session.history.current
        for item in steps:
            session.apply(item)
        assert preview.after == costs(session.graph)
        session.goto(state)
        assert preview.before == costs(session.graph)
        assert session.preview(*steps).rows() == preview.rows()

    agrees()
    session.duplicate("model.layers[1]")
    agrees()
    session.undo()
    agrees()
    session.redo()
    session.goto(0)
    agrees()
    down: Any = session.model.get_submodule("model.layers.1.mlp.down_proj")
    with torch.no_grad():
        zeros = down.weight.detach().clone()
        zeros[:] = 0
    down.weight = nn.Parameter(zeros)
    found = session.preview(*steps).nonzero
    assert found is not None and found[0] == nonzeros(session.model)
    config: Any = session.model.config
    config.num_hidden_layers = config.num_hidden_layers + 5  # edits by the number of blocks that there are
    session.preview(*steps)
    assert config.num_hidden_layers == len(session.model.get_submodule("model.layers")._modules) + 5


@pytest.mark.parametrize("refused", [False, True])
def test_the_garbage_collector_is_as_before(refused: bool) -> None:
    """It pauses for a preview, whatever becomes of it."""
    session = session_on("tied_head")
    for collects in (True, False):
        (gc.enable if collects else gc.disable)()
        try:
            if refused:
                with pytest.raises(SurgeryError):
                    session.preview("remove", "blocks")
            else:
                session.preview("remove", "blocks[0]")
            assert gc.isenabled() == collects
        finally:
            gc.enable()


def test_previews_leave_nothing_to_the_garbage_collector() -> None:
    """The skeleton and what was traced of it are gone with the preview."""
    session = session_on("llama")
    steps = (
        step("attach", "**.q_proj"),
        step("duplicate", "model.layers[0]"),
        step("remove", "model.layers[1]"),
    )
    session.preview(*steps)
    gc.collect()
    gc.disable()
    try:
        alive = sum(issubclass(type(item), nn.Module) for item in gc.get_objects())
        session.preview(*steps)
        assert sum(issubclass(type(item), nn.Module) for item in gc.get_objects()) == alive
    finally:
        gc.enable()
