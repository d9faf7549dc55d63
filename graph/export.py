"""Graphs written down: JSON and back, networkx, DOT."""

from dataclasses import asdict
from itertools import pairwise
from typing import Any

import networkx as nx

from graph.nodes import CallNode, Edge, ModuleGraph, ModuleNode, ParameterNode, Problem, Span, TensorSpec, Tie

SCHEMA = 1


def to_json(graph: ModuleGraph) -> dict[str, Any]:
    """The graph as plain dictionaries, lists, texts and numbers; `from_json` reads it back."""
    return {"schema": SCHEMA, **_plain(asdict(graph))}


def from_json(data: dict[str, Any]) -> ModuleGraph:
    """The graph `to_json` wrote. Raises ValueError for another schema."""
    if data.get("schema") != SCHEMA:
        raise ValueError(f"graph schema {data.get('schema')!r}; this version reads {SCHEMA}")
    problem = data["problem"]
    return ModuleGraph(
        class_name=data["class_name"],
        modules=tuple(map(_module, data["modules"])),
        calls=tuple(map(_call, data["calls"])),
        edges=tuple(Edge(e["source"], e["target"], e["argument"], _spec(e["tensor"])) for e in data["edges"]),
        ties=tuple(Tie(t["index"], t["kind"], tuple(t["paths"])) for t in data["ties"]),
        problem=None if problem is None else Problem(**problem),
        tokens=data["tokens"],
        spans=tuple(Span(**span) for span in data["spans"]),
    )


def to_networkx(graph: ModuleGraph) -> "nx.MultiDiGraph[int]":
    """Calls as nodes (attribute `call`), -1 the input, -2 the output; tensors as edges.

    Each edge has `argument` and `tensor`; several between two calls stay several.
    """
    made: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    made.add_node(-1, call=None, label="input")
    for call in graph.calls:
        made.add_node(call.id, call=call, label=_label(call))
    made.add_node(-2, call=None, label="output")
    for edge in graph.edges:
        made.add_edge(edge.source, edge.target, argument=edge.argument, tensor=edge.tensor)
    return made


def to_dot(graph: ModuleGraph) -> str:
    """The calls and edges in Graphviz's language; tied parameters are named in a dotted edge."""
    lines = ["digraph {", "  node [shape=box]", '  n_1 [label="input"]', '  n_2 [label="output"]']
    for call in graph.calls:
        lines.append(f"  n{call.id} [label={_quoted(_label(call))}]")
    for edge in graph.edges:
        shape = "×".join(map(str, edge.tensor.shape))
        lines.append(f"  {_dot_id(edge.source)} -> {_dot_id(edge.target)} [label={_quoted(shape)}]")
    reads: dict[str, int] = {}
    for call in graph.calls:
        for path in call.reads:
            reads.setdefault(path, call.id)
    for tie in graph.ties:
        users = [reads[path] for path in tie.paths if path in reads]
        for one, two in pairwise(users):
            if one != two:
                label = _quoted(f"tie {tie.index}")
                lines.append(f"  n{one} -> n{two} [style=dotted dir=none label={label}]")
    return "\n".join([*lines, "}"]) + "\n"


def _label(call: CallNode) -> str:
    return call.module or "(root)" if call.function is None else f"{call.module or '(root)'}\n{call.function}"


def _dot_id(call: int) -> str:
    return f"n{call}" if call >= 0 else f"n_{-call}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _spec(data: dict[str, Any]) -> TensorSpec:
    return TensorSpec(tuple(data["shape"]), data["dtype"])


def _specs(data: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(map(_spec, data))


def _module(data: dict[str, Any]) -> ModuleNode:
    return ModuleNode(
        **{
            **data,
            "children": tuple(data["children"]),
            "tensors": tuple(ParameterNode(**{**t, "shape": tuple(t["shape"])}) for t in data["tensors"]),
            "attributes": tuple((name, value) for name, value in data["attributes"]),
        }
    )


def _call(data: dict[str, Any]) -> CallNode:
    return CallNode(
        **{
            **data,
            "inputs": _specs(data["inputs"]),
            "outputs": _specs(data["outputs"]),
            "reads": tuple(data["reads"]),
        }
    )
