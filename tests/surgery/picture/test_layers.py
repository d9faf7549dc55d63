"""The layout: layers from left to right, nothing upon anything, the same for the same flow."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from graph import extract, inside, overview
from graph.flow import Flow, FlowEdge
from surgery.picture.boxes import Box
from surgery.picture.layers import LANE, Layout, layered
from tests.zoo import ATLAS

SIZE = (80.0, 40.0)


def laid(*edges: tuple[str, str], residual: tuple[tuple[str, str], ...] = ()) -> Layout:
    """The layout of things named in these edges, all of one size."""
    names = dict.fromkeys(name for edge in (*edges, *residual) for name in edge)
    told = [FlowEdge(*edge) for edge in edges] + [FlowEdge(*edge, residual=True) for edge in residual]
    return layered(dict.fromkeys(names, SIZE), told)


def flows(name: str) -> list[Flow]:
    """The overview of a model of the atlas, and each of its children and blocks opened."""
    graph = extract(*ATLAS[name]())
    folded = overview(graph)
    paths = [path for node in folded.nodes for path in (node.paths[:1] or (node.path,)) if path]
    return [folded, inside(graph, ""), *(inside(graph, path) for path in dict.fromkeys(paths))]


def through(box: Box, dots: tuple[tuple[float, float], ...]) -> bool:
    """Whether a wire that bends half way between two dots runs through the inside of a box."""
    inner = box.grown(-0.5)
    for (x, y), (to, end) in pairwise(dots):
        for step in range(21):
            part = step / 20
            ease = 3 * part**2 - 2 * part**3
            at, level = x + (to - x) * part, y + (end - y) * ease
            if inner.x < at < inner.right and inner.y < level < inner.bottom:
                return True
    return False


@pytest.mark.parametrize("name", sorted(ATLAS))
def test_nothing_lies_on_anything(name: str) -> None:
    """Of every model of the atlas, folded and opened, no box overlaps another and no wire crosses a box."""
    for flow in flows(name):
        found = layered({node.id: (len(node.title) * 7.0 + 22, 40.0) for node in flow.nodes}, flow.edges)
        assert [pair for pair in combinations(found.boxes.values(), 2) if pair[0].overlaps(pair[1])] == []
        for wire in found.wires:
            if not wire.residual:
                assert [box for box in found.boxes.values() if through(box, wire.dots)] == []


def test_data_goes_to_the_right() -> None:
    """A thing stands right of all that feeds it, and what is fed by nothing stands beside what it feeds."""
    boxes = laid(("a", "b"), ("b", "c"), ("c", "d"), ("late", "d")).boxes
    assert boxes["a"].right < boxes["b"].x < boxes["c"].x < boxes["d"].x
    assert boxes["late"].x == boxes["c"].x


def test_a_chain_is_straight_though_a_wire_passes_it() -> None:
    """The wire goes round; what it passes does not give way."""
    boxes = laid(("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")).boxes
    assert boxes["b"].y == pytest.approx(boxes["c"].y, abs=0.1)


def test_siblings_keep_the_order_of_the_code() -> None:
    """Query, key, value: from the top down."""
    boxes = laid(("n", "q"), ("n", "k"), ("n", "v"), ("q", "a"), ("k", "a"), ("v", "a")).boxes
    assert boxes["q"].bottom < boxes["k"].y and boxes["k"].bottom < boxes["v"].y
    assert boxes["n"].middle[1] == pytest.approx(boxes["k"].middle[1]) == boxes["a"].middle[1]


def test_crossings_that_need_not_be_are_undone() -> None:
    """The second layer is turned round where the first demands it."""
    boxes = laid(("a", "x"), ("b", "y"), ("s", "a"), ("s", "b"), ("x", "t"), ("y", "t")).boxes
    assert (boxes["a"].y < boxes["b"].y) == (boxes["x"].y < boxes["y"].y)


def test_residuals_run_below_in_lanes_of_their_own() -> None:
    """Those that overlap lie one under the other; they bend nothing above."""
    chain = (("a", "b"), ("b", "c"), ("c", "d"))
    plain, found = laid(*chain), laid(*chain, residual=(("a", "d"), ("a", "c")))
    assert found.boxes == plain.boxes
    long, short = (wire for wire in found.wires if wire.residual)
    foot = max(box.bottom for box in found.boxes.values())
    assert foot < short.dots[1][1] == long.dots[1][1] - LANE
    assert found.size[1] == long.dots[1][1]


def test_nothing_is_laid_out_of_nothing() -> None:
    """An empty flow has no size."""
    assert layered({}, []) == Layout({}, (), (0, 0.0))
