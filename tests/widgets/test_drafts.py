"""Drafts of operations as a form begins them."""

from __future__ import annotations

import pytest

import surgery
from surgery.registry import operations
from tests.zoo import llama
from widgets.drafts import start
from widgets.fitting import reasons
from widgets.forms import form

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


def test_sliders_go_as_far_as_the_model(session: surgery.Session) -> None:
    """A rank as far as the smallest matrix, a count of blocks as far as there are some."""
    smallest = min(min(p.shape) for n, p in session.model.named_parameters() if n.endswith("proj.weight"))
    recur = {item["name"]: item for item in form(start("recur", session.graph, BLOCKS))["fields"]}
    assert (recur["rank"]["minimum"], recur["rank"]["maximum"]) == (0, smallest)
    assert (recur["loop"]["value"], recur["loop"]["maximum"]) == (1, 1)
    stitch = {item["name"]: item for item in form(start("stitch", session.graph, BLOCKS))["fields"]}
    depth = len(session.model.model.layers)
    assert (stitch["at"]["value"], stitch["at"]["maximum"]) == ((depth + 1) // 2, depth)
