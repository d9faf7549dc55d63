"""Where adapters sit in a graph, and how they are drawn: with what they adapt as one node."""

from __future__ import annotations

from dataclasses import replace

from graph.flow import Flow, FlowEdge, FlowNode
from graph.nodes import ModuleGraph
from graph.paths import is_below
from graph.rollup import rollup
from graph.units import short

ADAPTER = "LoraLinear"


def adapters(graph: ModuleGraph) -> list[str]:
    """Paths of all adapters."""
    return [node.path for node in graph.modules if node.class_name == ADAPTER]


def adapter_around(graph: ModuleGraph, path: str) -> str | None:
    """The adapter whose base is the module at `path`; None for any other, also for one called `base`."""
    parent, _, name = path.rpartition(".")
    inside = bool(path) and name == "base" and parent in graph and graph[parent].class_name == ADAPTER
    return parent if inside else None


def adapted(graph: ModuleGraph, path: str) -> bool:
    """Whether the module is adapted itself, or holds one that is."""
    return adapter_around(graph, path) is not None or any(is_below(place, path) for place in adapters(graph))


def drawn_whole(flow: Flow, graph: ModuleGraph, opened: str) -> Flow:
    """The flow with every adapter, its products and its base as one node, unless it is an adapter's own."""
    places = {place for place in adapters(graph) if place != opened}
    if not places:
        return flow
    shares = rollup(graph)
    into: dict[str, str] = {}
    nodes: dict[str, FlowNode] = {}
    for node in flow.nodes:
        around = adapter_around(graph, node.path)
        place = node.path if node.path in places else around if around in places else None
        if place is None:
            into[node.id] = node.id
            nodes[node.id] = node
        else:
            into[node.id] = place
            title = graph[place].name or graph.class_name
            nodes[place] = FlowNode(place, "module", place, title, short(shares[place].parameters))
    edges: dict[tuple[str, str], FlowEdge] = {}
    for edge in flow.edges:
        ends = into[edge.source], into[edge.target]
        if ends[0] != ends[1] and not (ends in edges and edge.residual):  # past the base goes no residual
            edges[ends] = replace(edge, source=ends[0], target=ends[1])
    return Flow(tuple(nodes.values()), tuple(edges.values()))
