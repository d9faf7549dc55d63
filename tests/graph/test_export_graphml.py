"""Graphs as GraphML, as networkx reads it."""

import io
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest
from torch import nn

from graph import extract, to_graphml
from tests.odd import ODD_NAMES, chain, odd_graph
from tests.zoo import ZOO


def read(text: str) -> nx.MultiDiGraph:
    """What networkx makes of the text as a file."""
    return nx.read_graphml(io.BytesIO(text.encode("utf-8")), force_multigraph=True)


def lines(net: nx.MultiDiGraph) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Edges as (source, target, id, attributes) in the order of the file."""
    return sorted(net.edges(keys=True, data=True), key=lambda edge: int(edge[2][1:]))


@pytest.mark.parametrize("name", ZOO)
def test_every_call_and_tensor_is_there(name: str) -> None:
    """Nodes with what they are, edges with the tensor's shape and dtype."""
    graph = extract(*ZOO[name]())
    net = read(to_graphml(graph))
    calls = {node: data for node, data in net.nodes(data=True) if data["kind"] == "call"}
    assert len(calls) == len(graph.calls) == len(net) - 2
    for call in graph.calls:
        data = calls[f"n{call.id}"]
        assert (data.get("module", ""), data.get("function")) == (call.module, call.function)
        assert data["macs"] == call.macs and data["class"] == graph[call.module].class_name
    tensors = [data for _, _, _, data in lines(net) if data["kind"] == "tensor"]
    assert [data["shape"].replace("scalar", "") for data in tensors] == [
        "×".join(map(str, edge.tensor.shape)) for edge in graph.edges
    ]
    assert [(data["dtype"], data["argument"]) for data in tensors] == [
        (edge.tensor.dtype, edge.argument) for edge in graph.edges
    ]


def test_ties_are_edges_of_their_own_kind() -> None:
    """A tied head, and one tower at two paths."""
    for name, ends in (("llama", ("model.embed_tokens", "lm_head")), ("siamese", ("left.0", "right.0"))):
        net = read(to_graphml(extract(*ZOO[name]())))
        ties = [(one, two) for one, two, _, data in lines(net) if data["kind"] == "tie"]
        assert [(net.nodes[one]["module"], net.nodes[two]["module"]) for one, two in ties] == [ends]


def test_an_untraced_model_is_a_tree() -> None:
    """Modules with their classes, children by edges, ties between them; as deep as it may be."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model.append(model[0])
    net = read(to_graphml(extract(model)))
    assert [data["class"] for _, data in net.nodes(data=True)] == ["Sequential", "Linear", "ReLU", "Linear"]
    assert [(one, two, data["kind"]) for one, two, _, data in lines(net)] == [
        ("n0", "n1", "child"),
        ("n0", "n2", "child"),
        ("n0", "n3", "child"),
        ("n1", "n3", "tie"),
    ]
    assert len(read(to_graphml(chain(1500)))) == 1501


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=list(ODD_NAMES))
def test_odd_names_read_back(name: str) -> None:
    """The file is XML, and the names come back; what XML has no way to write comes back as escapes."""
    text = to_graphml(odd_graph(name))
    ElementTree.fromstring(text.encode("utf-8"))
    fits = {"\t", "\n", "\r"}
    spelled = "".join(
        char.encode("unicode_escape").decode()
        if (char < " " and char not in fits) or "\ud800" <= char <= "\udfff" or char in "\ufffe\uffff"
        else char
        for char in name
    )
    net = read(text)
    node = net.nodes["n0"]
    assert (node["label"], node["module"], node["class"], node["opaque"]) == (spelled,) * 4
    assert net.nodes["n1"]["function"] == spelled
    assert net.get_edge_data("input", "n0")["e0"]["dtype"] == spelled
    assert net.graph["class"] == spelled and net.graph["problem"] == f"{spelled}: {spelled}"
