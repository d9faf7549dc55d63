"""Drafts of operations as a form begins them."""

from __future__ import annotations

import pytest

import surgery
from surgery.registry import operations
from tests.zoo import llama
from widgets.desk import Draft
from widgets.drafts import change, start
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


def test_a_form_asks_for_what_means_something(session: surgery.Session) -> None:
    """A ratio not beside a pattern, what is read of the data where data are; values no longer asked go."""
    draft = start("wanda", session.graph, BLOCKS)
    assert "ratio" in asked_of(draft)
    change(draft, "ratio", 0.3)
    change(draft, "pattern", "2:4")
    assert "ratio" not in asked_of(draft) and session.preview(draft.step())
    draft = start("low_rank", session.graph, BLOCKS)
    assert not {"samples", "seed", "ridge"} & asked_of(draft)
    change(draft, "spread", "distortion")
    assert {"samples", "seed"} <= asked_of(draft) and "ridge" not in asked_of(draft)
    change(draft, "by", "inputs")
    change(draft, "spread", "relative")
    assert {"samples", "seed", "ridge"} <= asked_of(draft)


def asked_of(draft: Draft) -> set[str]:
    """The names of the fields of its form."""
    return {item["name"] for item in form(draft)["fields"]}


def test_fields_hang_on_choices_that_there_are() -> None:
    """Each names another field and values of it."""
    for cls in operations().values():
        specs = {spec.name: spec for spec in cls.specs}
        for spec in cls.specs:
            for other, values in spec.beside:
                assert values and set(values) <= set(specs[other].choices), (cls.name, spec.name)
