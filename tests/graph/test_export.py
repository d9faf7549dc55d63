"""Graphs for networkx and for Graphviz."""

import re

import pytest
import torch
from torch import nn

from graph import CallNode, ModuleGraph, Problem, extract, to_dot, to_networkx
from tests.odd import ODD_NAMES, chain, odd_graph
from tests.zoo import ZOO, siamese

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def strings(dot: str) -> list[str]:
    """What Graphviz shows for the quoted strings of a DOT text, in order."""
    signs = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
    read = [re.sub(r"\\.", lambda found: signs[found[0]], text[1:-1]) for text in STRING.findall(dot)]
    return [text.replace("&amp;", "&") for text in read]


def test_networkx_has_every_call_and_edge() -> None:
    """The networkx graph has all calls, the input and the output, and parallel edges."""
    graph = extract(*ZOO["encoder"]())
    net = to_networkx(graph)
    assert len(net) == len(graph.calls) + 2
    assert net.number_of_edges() == len(graph.edges)
    assert net.number_of_edges(-1, 0) == 3


def test_networkx_nodes_say_what_they_are() -> None:
    """Attributes as plain values, for those who know networkx and not our records."""
    model, inputs = siamese()
    net = to_networkx(extract(model, inputs))
    heads = [attributes for _, attributes in net.nodes(data=True) if attributes["module"] == "head"]
    assert [(node["class_name"], node["function"], node["macs"]) for node in heads] == [("Linear", None, 48)]
    assert isinstance(heads[0]["call"], CallNode) and heads[0]["label"] == "head"
    assert {data["dtype"] for _, _, data in net.edges(data=True)} == {"float32"}
    assert {data["shape"] for _, _, data in net.in_edges(-2, data=True)} == {"3×1"}
    assert {node["label"] for _, node in net.nodes(data=True) if node["call"] is None} == {"input", "output"}


def test_dot_quotes_and_shows_ties() -> None:
    """DOT names each call and edge, and ties as dotted edges."""
    text = to_dot(extract(*ZOO["llama"]()))
    assert text.startswith("digraph {") and text.endswith("}\n")
    assert "style=dotted" in text
    assert '[label="(root)\\ncat"]' in to_dot(extract(*siamese()))


def test_dot_joins_tied_modules_too() -> None:
    """One module at two paths: a dotted line from the first call at one to the first at the other."""
    model, inputs = siamese()
    graph = extract(model, inputs)
    first = {side: next(c.id for c in graph.calls if c.module.startswith(side)) for side in ("left", "right")}
    assert f"n{first['left']} -> n{first['right']} [style=dotted" in to_dot(graph)


def test_dot_of_an_untraced_model_is_its_tree() -> None:
    """Without example inputs there are no calls, yet there is something to draw."""
    text = to_dot(extract(nn.Sequential(nn.Linear(2, 2), nn.ReLU())))
    assert strings(text) == ["(root)", "0", "1"]
    assert "n0 -> n1 [arrowhead=none" in text and "n0 -> n2 [arrowhead=none" in text
    assert len(strings(to_dot(chain(1500)))) == 1501


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=list(ODD_NAMES))
def test_dot_shows_odd_names_as_text(name: str) -> None:
    """Whatever a name is made of, the strings end where they should and show it."""
    text = to_dot(odd_graph(name))
    problem, first, second, *_ = (shown for shown in strings(text) if shown not in ("input", "output"))
    lines = [line for line in text.splitlines() if '"' in line]
    assert all(len(STRING.findall(line)) == 1 and '"' not in STRING.sub("", line) for line in lines)
    assert text.count("\n") == len(text.split("\n")) - 1 == len(text.splitlines())
    spelled = "\n".join(
        "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in part)
        for part in name.split("\n")
    )
    assert (problem, first, second) == (
        f"{spelled}: the forward fails: {spelled}",
        spelled,
        f"other\n{spelled}",
    )


def test_dot_marks_what_is_opaque_and_what_failed() -> None:
    """A dashed box for what nobody could look into, and the message below the picture."""
    text = to_dot(odd_graph("mix"))
    assert 'n0 [label="mix" style=dashed]' in text
    assert 'label="mix: the forward fails: mix"' in text
    failed = extract(nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3)), torch.zeros(1, 2))
    assert isinstance(failed, ModuleGraph) and isinstance(failed.problem, Problem)
    assert strings(to_dot(failed))[0].startswith("1: the forward fails: ")
