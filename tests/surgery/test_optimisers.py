"""An optimiser over Parameters that an edit has replaced is named: before it is stepped and as it is."""

from __future__ import annotations

import gc
import warnings

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim import optimizer as torchs

import surgery
from surgery.errors import SurgeryWarning
from tests.zoo import ZOO


@pytest.fixture
def session() -> surgery.Session:
    """A session on four blocks."""
    return surgery.open(*ZOO["tied_head"]())


def stepped(session: surgery.Session, optimiser: torch.optim.Optimizer) -> list[str]:
    """What is warned of in a step of training."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session.model(**session.opened.inputs).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    return [str(item.message) for item in caught if issubclass(item.category, SurgeryWarning)]


def test_replaced_parameters_are_named(session: surgery.Session) -> None:
    """By the paths they had; after an undo the optimiser is right again, after a redo it is not."""
    optimiser = SGD(session.model.parameters(), lr=0.1)
    assert session.stale(optimiser) == ()
    session.sparsify("blocks.1.up", 0.5)
    assert session.stale(optimiser) == ("blocks.1.up.weight",)
    session.undo()
    assert session.stale(optimiser) == ()
    session.redo()
    assert session.stale(optimiser) == ("blocks.1.up.weight",)
    assert session.stale(SGD(session.model.parameters(), lr=0.1)) == ()


def test_names_are_those_of_the_last_state_they_were_in(session: surgery.Session) -> None:
    """A block that had moved up before it went is named by where it was then."""
    optimiser = SGD(session.model.get_submodule("blocks.2.up").parameters(), lr=0.1)
    session.remove("blocks[0]")
    assert session.stale(optimiser) == ()
    session.remove("blocks[1]")
    assert session.stale(optimiser) == ("blocks.1.up.weight", "blocks.1.up.bias")


def test_parameters_of_others_are_nobodys_business(session: surgery.Session) -> None:
    """The opened model's and those of another model altogether."""
    session.sparsify("**:Linear", 0.5)
    assert session.stale(SGD(session.opened.model.parameters(), lr=0.1)) == ()
    assert session.stale(SGD(nn.Linear(2, 2).parameters(), lr=0.1)) == ()


def test_wrapped_parameters_are_still_there(session: surgery.Session) -> None:
    """An adapter leaves the weight it wraps in the model, under another name."""
    optimiser = SGD(session.model.parameters(), lr=0.1)
    session.attach("blocks.0.up", rank=2)
    assert session.stale(optimiser) == ()


def test_stepping_it_warns_once_per_state(session: surgery.Session) -> None:
    """The sentence names the class, the first paths and the way out; a right one is stepped in silence."""
    optimiser = AdamW(session.model.parameters())
    assert stepped(session, optimiser) == []
    session.sparsify("blocks[*].{up,down}", 0.5)
    assert stepped(session, optimiser) == [
        "this AdamW holds parameters that are no longer in the model, where it trains nothing: "
        "blocks.0.up.weight, blocks.0.down.weight, blocks.1.up.weight, blocks.1.down.weight and 4 more. "
        "Try: a new one over `s.model.parameters()`."
    ]
    assert stepped(session, optimiser) == []
    assert stepped(session, AdamW(session.model.parameters())) == []
    session.undo()
    assert stepped(session, optimiser) == []
    session.redo()
    assert len(stepped(session, optimiser)) == 1


def test_torch_is_hooked_only_while_there_is_reason(session: surgery.Session) -> None:
    """Not by opening, nor where nothing that could be trained has gone."""
    gc.collect()
    before = len(torchs._global_optimizer_pre_hooks)
    session.attach("blocks.0.up", rank=2)
    assert len(torchs._global_optimizer_pre_hooks) == before
    session.detach()
    session.sparsify("blocks.1.up", 0.5)
    session.sparsify("blocks.1.up", 0.6)
    assert len(torchs._global_optimizer_pre_hooks) == before + 1


def test_the_hook_goes_with_the_session() -> None:
    """Nothing of a session stays behind in torch."""
    gc.collect()
    before = len(torchs._global_optimizer_pre_hooks)
    session = surgery.open(*ZOO["tied_head"]())
    session.sparsify("blocks.1.up", 0.5)
    assert len(torchs._global_optimizer_pre_hooks) == before + 1
    del session
    gc.collect()
    assert len(torchs._global_optimizer_pre_hooks) == before


def test_frozen_models_hook_nothing() -> None:
    """What cannot be trained makes no optimiser stale."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model.requires_grad_(False), inputs)
    before = len(torchs._global_optimizer_pre_hooks)
    session.sparsify("blocks.1.up", 0.5)
    assert len(torchs._global_optimizer_pre_hooks) == before
