"""Selectors of exactly the paths that are given."""

from __future__ import annotations

import pytest
from torch import nn

from graph.naming import selector_of
from graph.select import select
from tests.zoo import ZOO

PATHS = [
    (["model.layers.1", "model.layers.2"], "model.layers[1:3]"),
    (["model.layers.3", "model.layers.0", "model.layers.1"], "model.layers[0:2], model.layers[3]"),
    (["model.norm", "model.layers.2"], "model.layers[2], model.norm"),
    ([""], ""),
]


@pytest.mark.parametrize(("paths", "text"), PATHS, ids=lambda value: str(value)[:20])
def test_a_live_model_is_named_as_its_graph_is(paths: list[str], text: str) -> None:
    """Neighbours become slices; what is said selects what was given."""
    model, _ = ZOO["llama"]()
    assert selector_of(paths, model) == text
    assert set(select(text, model)) == set(paths)


def test_names_that_are_no_numbers_stay_names() -> None:
    """A container with a name among its numbers has no order that an index could mean."""
    model = nn.Sequential()
    model.add_module("0", nn.ReLU())
    model.add_module("last", nn.ReLU())
    assert selector_of(["0"], model) == "0"
