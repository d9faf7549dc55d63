"""Drafts of operations as a form begins them."""

from __future__ import annotations

import pytest

import surgery
from surgery.registry import operations
from tests.zoo import llama
from widgets.drafts import start
from widgets.fitting import reasons

ASKING = {
    "adopt": "which adapter",
    "cast": "to which dtype: half a model of one and half of another does not run",
    "merge_experts": "a mixture",
    "move": "to which place: two neighbours are in order",
    "pad": "to which width: these have the same",
    "stitch": "to which model",
}
"""Operations whose form is refused at first, for what nobody but its user knows."""


@pytest.fixture(scope="module")
def session() -> surgery.Session:
    """A small decoder."""
    return surgery.open(*llama())


def begun(session: surgery.Session) -> list[str]:
    """Operations that fit two blocks, without those that merge with other models."""
    found = reasons(session.graph, BLOCKS)
    with_parents = {name for name, cls in operations().items() if any(s.kind == "parents" for s in cls.specs)}
    return [name for name, why in found.items() if why is None and name not in with_parents]


BLOCKS = ["model.layers.0", "model.layers.1"]


def test_a_form_begins_with_what_fits(session: surgery.Session) -> None:
    """Two blocks are chosen, an operation that fits them is: its dry run says what it would cost."""
    refused = {}
    for name in begun(session):
        try:
            session.preview(start(name, session.graph, BLOCKS).step())
        except surgery.SurgeryError as error:
            refused[name] = str(error)
    assert not {name: why for name, why in refused.items() if name not in ASKING}
