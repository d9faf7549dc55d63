"""Tracing a session anew: on other inputs, and on real weights where shapes were not enough."""

from typing import NoReturn

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from tests.surgery.states import untouched
from tests.zoo import ATLAS


class Gate(nn.Module):
    """Takes one of two ways by a value."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x) if x.sum() > 0 else self.two(x)


def gated() -> tuple[nn.Module, torch.Tensor]:
    """A chain with a gate in it, and the input that takes its first way."""
    torch.manual_seed(0)
    return nn.Sequential(Gate(), nn.Linear(4, 4), nn.Linear(4, 2)), torch.ones(2, 4)


def test_a_retrace_on_values_replaces_the_guess() -> None:
    """What values choose is opaque at first, and calls after; states to come are traced so too."""
    model, inputs = gated()
    session, before = surgery.open(model, inputs), untouched(model)
    guessed = [node.path for node in session.graph.modules if node.opaque]
    assert guessed
    graph = session.retrace()
    assert session.graph is graph
    assert not any(node.opaque for node in graph.modules)
    assert len(graph.calls) > len(surgery.open(model, inputs).graph.calls)
    session.remove("[1]")
    assert not any(node.opaque for node in session.graph.modules)
    session.undo()
    assert session.graph is graph
    assert untouched(model) == before


def test_what_the_values_leave_out_may_still_be_edited() -> None:
    """An adapter where the example's values happen not to go is no edit without effect."""
    session = surgery.open(*gated())
    session.retrace()
    session.attach("0.two", "lora", rank=2)
    called = [call.module for call in session.graph.calls]
    assert "0.one" in called
    assert not any(place.startswith("0.two") for place in called)


def test_previews_compare_like_with_like() -> None:
    """A preview computes no tensor, so both of its sides are traced on shapes."""
    session = surgery.open(*gated())
    known = session.preview("remove", "[1]")
    session.retrace()
    again = session.preview("remove", "[1]")
    assert (again.before.macs, again.after.macs) == (known.before.macs, known.after.macs)


class Rooted(nn.Module):
    """Chooses by a value at its root, where no trace on shapes can guess."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3), nn.Linear(3, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) if x.sum() > 0 else self.body(-x)


def test_what_only_a_trace_on_shapes_cannot_do_refuses_no_edit() -> None:
    """Where that trace failed before the edit too, the run on values is what counts."""
    session = surgery.open(Rooted(), torch.ones(2, 4))
    assert session.graph.problem is not None
    assert session.retrace().problem is None
    session.remove("body[1]")
    assert session.graph.problem is None
    with pytest.raises(SurgeryError, match="after remove the forward would fail here"):
        session.remove("body[1]")
    assert session.graph.problem is None


class Narrowing(nn.Module):
    """Takes four of what it is given; which, by a value."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., :4] if x.sum() > -1e6 else x[..., -4:]


def test_a_guess_that_fits_no_more_refuses_no_edit() -> None:
    """A trace on shapes guesses what a choice returns; where a run on values goes through, it was wrong."""
    model = nn.Sequential(nn.Linear(8, 4), Narrowing(), nn.Linear(4, 2))
    session = surgery.open(model, torch.ones(2, 8))
    with pytest.raises(SurgeryError, match="after remove the forward would fail here"):
        session.remove("[0]")
    session.retrace()
    session.remove("[0]")
    assert session.graph.problem is None


@pytest.mark.parametrize("real", [False, True])
def test_a_retrace_that_raises_leaves_the_session_as_it_was(real: bool) -> None:
    """Such as one that is interrupted: graph, note and edits are those of the tracing before."""

    class Interrupted(dict[str, torch.Tensor]):
        def values(self) -> NoReturn:
            raise KeyboardInterrupt

    session = surgery.open(*gated())
    before = session.graph
    with pytest.raises(KeyboardInterrupt):
        session.retrace(Interrupted(input=torch.ones(2, 4)), real=real)
    assert session.graph is before
    session.remove("[1]")
    assert session.graph.problem is None


def test_a_retrace_leaves_weights_as_they_are() -> None:
    """A run on values that writes into weights writes into copies, in the session and the opened model."""
    model = nn.Sequential(nn.Embedding(4, 3, max_norm=0.1), nn.Linear(3, 2))
    session, before = surgery.open(model, torch.tensor([0, 1])), model[0].weight.detach().clone()
    assert session.retrace().problem is None
    assert torch.equal(model[0].weight, before)
    assert torch.equal(session.model[0].weight, before)


def test_other_inputs_are_traced_from_then_on() -> None:
    """A longer example costs more, in every state; the graph of a state is renewed when it is looked at."""
    session = surgery.open(*ATLAS["llama"]())
    session.remove("model.layers[1]")
    session.retrace({"input_ids": torch.zeros(1, 24, dtype=torch.long)}, real=False)
    assert session.graph.tokens == 24
    session.undo()
    assert session.graph.tokens == 24


def test_a_retrace_needs_inputs_and_weights() -> None:
    """Without inputs there is nothing to run, without weights nothing to run on; both are one sentence."""
    with pytest.raises(SurgeryError, match=r"no example inputs to run on.*s\.retrace\(inputs\)"):
        surgery.open(nn.Linear(2, 2)).retrace()
    with pytest.raises(SurgeryError, match="opened without weights"):
        surgery.open(nn.Linear(2, 2), torch.ones(1, 2), skeleton=True).retrace()


def test_lazy_modules_are_refused_by_path() -> None:
    """What has no shape yet cannot be edited, and the way out is said."""
    with pytest.raises(SurgeryError, match=r"1: its parameters have no shape.*first time"):
        surgery.open(nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(2)), torch.ones(1, 2))


def test_a_compiled_model_is_opened_as_what_was_compiled() -> None:
    """Paths, class and values are those of the module inside."""
    inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    session = surgery.open(torch.compile(inner), torch.ones(1, 2))
    assert type(session.model) is nn.Sequential
    assert session.base.class_name == "Sequential"
    assert session.model[0].weight.data_ptr() == inner[0].weight.data_ptr()


def test_a_model_a_thousand_levels_deep_is_opened() -> None:
    """Opening, its graph and its names know no depth."""
    model = nn.Sequential(nn.Linear(2, 2))
    for _ in range(1_000):
        model = nn.Sequential(model)
    session = surgery.open(model, torch.ones(1, 2))
    assert session.graph.problem is None
    assert session.graph.modules[-1].origin == session.graph.modules[-1].path == ".".join(["0"] * 1_001)
