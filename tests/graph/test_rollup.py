"""Figures of all paths at once are those of each path."""

import pytest

from graph.costs import costs
from graph.extract import extract
from graph.rollup import Share, rollup
from tests.zoo import ZOO


@pytest.mark.parametrize("name", ZOO)
def test_rollup_equals_costs(name: str) -> None:
    """For every path of every zoo model, parameters, owned ones, bytes and MACs agree with `costs`."""
    model, inputs = ZOO[name]()
    graph = extract(model, inputs)
    expected = {
        node.path: Share(figures.parameters, figures.owned, figures.size_bytes, figures.macs)
        for node in graph.modules
        for figures in [costs(graph, node.path)]
    }
    assert rollup(graph) == expected
