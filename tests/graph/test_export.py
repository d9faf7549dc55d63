"""Graphs written down and read back."""

import json

import pytest

from graph import extract, from_json, to_dot, to_json, to_networkx
from tests.models import ZOO, siamese


@pytest.mark.parametrize("name", ZOO)
def test_json_round_trip(name: str) -> None:
    """A graph written as strict JSON text and read back is equal."""
    graph = extract(*ZOO[name]())
    assert from_json(json.loads(json.dumps(to_json(graph), allow_nan=False))) == graph


def test_problem_and_opacity_survive() -> None:
    """Problems and opaque modules are written too."""
    from torch import nn, zeros

    graph = extract(nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3)), zeros(1, 2))
    assert graph.problem is not None
    assert from_json(to_json(graph)) == graph


def test_other_schema_is_refused() -> None:
    """Another schema is not guessed at."""
    with pytest.raises(ValueError, match="schema 99"):
        from_json({"schema": 99})


def test_networkx_has_every_call_and_edge() -> None:
    """The networkx graph has all calls, the input and the output, and parallel edges."""
    graph = extract(*ZOO["encoder"]())
    net = to_networkx(graph)
    assert len(net) == len(graph.calls) + 2
    assert net.number_of_edges() == len(graph.edges)
    assert net.number_of_edges(-1, 0) == 3


def test_dot_quotes_and_shows_ties() -> None:
    """DOT names each call and edge, and ties as dotted edges."""
    text = to_dot(extract(*ZOO["llama"]()))
    assert text.startswith("digraph {") and text.endswith("}\n")
    assert "style=dotted" in text
    assert '[label="(root)\\ncat"]' in to_dot(extract(*siamese()))
