"""Where adapters sit in a graph, and how they are drawn: with what they adapt as one node."""

from __future__ import annotations

from dataclasses import replace

from graph.flow import Flow, FlowEdge, FlowNode
from graph.nodes import ModuleGraph, ModuleNode
from graph.paths import is_below
from graph.rollup import rollup
from graph.units import short

CLASSES = frozenset(
    (
        *("LoraLinear", "LoraConv", "LoraEmbedding", "DoraLinear", "Ia3Linear", "ShareLoraLinear"),
        *("S2LoraLinear", "MoleLinear", "Bottleneck", "SqueezeExcite", "PeftAdapter"),
    )
)
"""Class names of adapters, as a graph knows them."""


def is_adapter(node: ModuleNode) -> bool:
    """Whether a module of a graph is an adapter."""
    return node.class_name in CLASSES


def adapters(graph: ModuleGraph) -> list[str]:
    """Paths of all adapters."""
    return [node.path for node in graph.modules if is_adapter(node)]


def adapter_around(graph: ModuleGraph, path: str) -> str | None:
    """The outermost adapter whose base, or its base's base, is the module at `path`; None for any other."""
    found = None
    parent, _, name = path.rpartition(".")
    while path and name == "base" and parent in graph and is_adapter(graph[parent]):
        found = path = parent
        parent, _, name = path.rpartition(".")
    return found


def adapted(graph: ModuleGraph, path: str) -> bool:
    """Whether the module is adapted itself, or holds one that is."""
    return adapter_around(graph, path) is not None or any(is_below(place, path) for place in adapters(graph))


def _outermost_of(places: set[str], path: str) -> str | None:
    """The outermost of these adapters which the path is, or is the base of; None where it is neither."""
    found = path if path in places else None
    while path.endswith(".base") and path.removesuffix(".base") in places:
        found = path = path.removesuffix(".base")
    return found


def drawn_whole(flow: Flow, graph: ModuleGraph, opened: str) -> Flow:
    """The flow with every adapter, its products and its base as one node, unless it is an adapter's own."""
    places = {place for place in adapters(graph) if place != opened}
    if not places:
        return flow
    shares = rollup(graph)
    into: dict[str, str] = {}
    nodes: dict[str, FlowNode] = {}
    for node in flow.nodes:
        place = _outermost_of(places, node.path)
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
