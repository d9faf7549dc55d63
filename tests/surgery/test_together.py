"""Steps that were meant for one state: their paths follow the modules through those before them."""

from __future__ import annotations

from typing import Any

import pytest

import surgery
from surgery import SurgeryError
from surgery.operation import Operation
from surgery.registry import operation_named
from surgery.script import python_of
from surgery.session import Session
from surgery.together import together
from tests.zoo import ZOO


def step(name: str, *values: Any, **fields: Any) -> Operation:
    """An operation by its name."""
    return operation_named(name).of(*values, **fields)


@pytest.fixture
def session() -> Session:
    """The small Llama of four blocks."""
    return surgery.open(*ZOO["llama"]())


def test_paths_follow_their_modules(session: Session) -> None:
    """Block 3 is called 2 after block 0 is gone; the patterns that still fit keep their text."""
    made = together(
        session,
        step("remove", "model.layers[0]"),
        step("tie", "model.layers[3]", to="model.layers.2"),
        step("scale", "model.layers[2:4]", factor=0.5),
        step("attach", "model.layers.1.**:Linear", rank=2),
    )
    assert [python_of(operation) for operation in made] == [
        's.remove("model.layers[0]")',
        's.tie("model.layers[2]", to="model.layers.1")',
        's.scale("model.layers[1:3]", factor=0.5)',
        's.attach("model.layers.0.**:Linear", rank=2)',
    ]
    for operation in made:
        session.apply(operation)
    assert len(session.steps) == 4


def test_nothing_changes(session: Session) -> None:
    """It is a question."""
    before = session.fingerprint()
    together(session, step("remove", "model.layers[0]"), step("scale", "lm_head", factor=2.0))
    assert session.fingerprint() == before and session.steps == ()


def test_what_stands_in_its_place_is_followed(session: Session) -> None:
    """A tied block is a module of its own at the same path; one that is adapted goes inside."""
    tied = together(
        session,
        step("tie", "model.layers[1]", to="model.layers.0"),
        step("scale", "model.layers[1]", factor=0.5),
    )
    assert tied[1].targets.paths == ("model.layers.1",)  # type: ignore[attr-defined]
    up = "model.layers.1.mlp.up_proj"
    inside = together(session, step("attach", up, rank=2), step("scale", up, factor=0.5))
    assert inside[1].targets.paths == (f"{up}.base",)  # type: ignore[attr-defined]


def test_what_is_gone_is_said_with_the_step(session: Session) -> None:
    """Whatever has its number by then is not it."""
    with pytest.raises(SurgeryError) as refused:
        together(session, step("remove", "model.layers[1]"), step("scale", "model.layers[1]", factor=0.5))
    assert refused.value.path == "model.layers.1"
    assert refused.value.problem == 'is no longer there after `s.remove("model.layers[1]")`'
