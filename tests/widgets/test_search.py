"""What the search box finds."""

import pytest

from graph import extract
from graph.nodes import ModuleGraph
from tests.zoo import llama
from widgets.search import Found, find


@pytest.fixture(scope="module")
def graph() -> ModuleGraph:
    """The small Llama of four blocks."""
    return extract(*llama())


FINDS = [
    ("", 0, None),
    ("model.layers[1:3]", 2, None),
    ("layers[1:3]", 2, "**.layers[1:3]"),
    ("q_proj", 4, "**.q_proj"),
    ("proj", 28, "**.*proj*"),
    ("mlp.up_proj", 4, "**.mlp.up_proj"),
    ("lm_head", 1, None),
    ("**:Linear", 29, None),
    ("layers[42]", 0, None),
    ("nothing_like_it", 0, None),
    ("q_proj, k_proj", 0, None),
]


@pytest.mark.parametrize(("text", "count", "read_as"), FINDS)
def test_text_is_a_selector_or_the_end_or_part_of_a_path(
    graph: ModuleGraph, text: str, count: int, read_as: str | None
) -> None:
    """The first reading with a match counts, and is said where it is not the text itself."""
    found = find(text, graph)
    assert (len(found.paths), found.read_as, found.problem) == (count, read_as, None)


@pytest.mark.parametrize("text", ["layers[", "{a", "**x", ":", "a..b", "two words"])
def test_unreadable_text_is_said(graph: ModuleGraph, text: str) -> None:
    """Half a selector is no error in the log: it is what a person is about to finish."""
    found = find(text, graph)
    assert found == Found(problem=found.problem) and found.problem
