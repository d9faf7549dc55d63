"""Graphs for networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.export.drawing import label_of, shapes
from graph.nodes import ModuleGraph

if TYPE_CHECKING:
    import networkx as nx


def to_networkx(graph: ModuleGraph) -> nx.MultiDiGraph[int]:
    """Calls as nodes, -1 the input, -2 the output; tensors as edges, several between two calls.

    A node has `call` (the record; None at the ends), `label`, `module` (its path), `function`,
    `class_name` and `macs`; an edge `argument`, `tensor` (the record), `shape` as text and `dtype`.
    """
    import networkx as nx  # a fifth of a second, which replays need not wait

    made: nx.MultiDiGraph[int] = nx.MultiDiGraph(class_name=graph.class_name, tokens=graph.tokens)
    ends = {"call": None, "module": "", "function": None, "class_name": "", "macs": 0}
    made.add_node(-1, label="input", **ends)
    for call in graph.calls:
        made.add_node(
            call.id,
            call=call,
            label=label_of(call),
            module=call.module,
            function=call.function,
            class_name=graph[call.module].class_name if call.module in graph else "",
            macs=call.macs,
        )
    made.add_node(-2, label="output", **ends)
    for edge in graph.edges:
        made.add_edge(
            edge.source,
            edge.target,
            argument=edge.argument,
            tensor=edge.tensor,
            shape=shapes((edge.tensor,)),
            dtype=edge.tensor.dtype,
        )
    return made
