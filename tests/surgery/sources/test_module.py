"""A module in hand: opened as it is or as a skeleton, with what is said where no inputs can be made."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import surgery
from graph.costs import costs
from surgery import SurgeryError
from tests.surgery.states import untouched
from tests.zoo import ZOO


def test_a_module_is_opened_as_it_is() -> None:
    """Its values are shared, its objects are not; it has no source, and its class is its name."""
    model, inputs = ZOO["tied_head"]()
    before = untouched(model)
    session = surgery.open(model, inputs)
    assert (session.opened.name, session.opened.source, session.opened.tokenizer) == ("_TiedHead", None, None)
    assert session.model is not model
    mine, theirs = dict(session.model.named_parameters()), dict(model.named_parameters())
    assert mine.keys() == theirs.keys()
    assert all(mine[name].data_ptr() == theirs[name].data_ptr() for name in theirs)
    assert all(mine[name] is not theirs[name] for name in theirs)
    assert untouched(model) == before


@pytest.mark.parametrize(
    "inputs",
    [torch.zeros(2, 3), (torch.zeros(2, 3),), {"input": torch.zeros(2, 3)}],
    ids=["tensor", "tuple", "dictionary"],
)
def test_inputs_are_a_tensor_a_tuple_or_a_dictionary(inputs: Any) -> None:
    """Each is traced: two rows through three by four weights are 24 multiplications."""
    session = surgery.open(nn.Linear(3, 4), inputs)
    assert session.graph.problem is None
    assert costs(session.graph).macs == 24


def test_without_inputs_a_plain_module_is_edited_untraced() -> None:
    """There is a tree and no calls; operations work all the same."""
    session = surgery.open(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)))
    assert session.graph.calls == ()
    session.remove("[1]")
    assert [type(child).__name__ for child in session.model.children()] == ["Linear", "Linear"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("siamese", 'inputs={"one": ..., "two": ...}'),  # those that must be given
        ("encoder", 'inputs={"src": ...}'),  # and not those with a default
        ("nested_lists", 'inputs={"x": ...}'),
    ],
)
def test_where_no_inputs_can_be_made_the_note_says_how_to_pass_them(name: str, shown: str) -> None:
    """Tree, ties and parameters are there; the sentence names the forward's own parameters."""
    model, inputs = ZOO[name]()
    session = surgery.open(model)
    whole = surgery.open(model, inputs)
    assert session.note is not None and f"`surgery.open(model, {shown})`" in session.note
    assert (session.graph.calls, session.opened.guessed) == ((), False)
    assert session.graph.by_path.keys() == whole.graph.by_path.keys()
    assert session.graph.ties == whole.graph.ties
    assert costs(session.graph).parameters == costs(whole.graph).parameters
    assert whole.note is None


def test_a_forward_without_parameters_of_its_own_still_gets_a_call_to_copy() -> None:
    """`*args` has no name to pass anything by."""

    class Anything(nn.Module):
        def forward(self, *args: Any, **kwargs: Any) -> None: ...

    assert '`surgery.open(model, inputs={"x": ...})`' in str(surgery.open(Anything()).note)


def test_a_compiled_model_is_asked_itself() -> None:
    """The wrapper says neither what it takes nor what it is; the module inside does."""
    plain: Any = torch.compile(ZOO["siamese"]()[0])
    assert "_Siamese does not say what it takes" in str(surgery.open(plain).note)
    decoder: Any = torch.compile(ZOO["llama"]()[0])
    assert surgery.open(decoder).opened.inputs["input_ids"].shape == (1, 64)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_scripted_module_is_refused_by_path() -> None:
    """A part that cannot be taken apart is named."""
    model = nn.Sequential(nn.Linear(2, 2), torch.jit.script(nn.Linear(2, 2)))
    with pytest.raises(SurgeryError, match=r"^1: a scripted module cannot be taken apart"):
        surgery.open(model)


@pytest.mark.parametrize("name", ["tied_head", "siamese", "cnn", "llama"])
def test_a_skeleton_of_a_module(name: str) -> None:
    """Parameters are on meta with their ties, buffers real, figures the same; the module keeps its own."""
    model, inputs = ZOO[name]()
    before = untouched(model)
    session, whole = surgery.open(model, inputs, skeleton=True), surgery.open(model, inputs)
    assert session.is_skeleton and not whole.is_skeleton
    assert all(parameter.is_meta for parameter in session.model.parameters())
    assert not any(buffer.is_meta for buffer in session.model.buffers())
    assert session.graph.ties == whole.graph.ties
    assert costs(session.graph) == costs(whole.graph)
    assert untouched(model) == before
