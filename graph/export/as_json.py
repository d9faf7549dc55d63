"""Graphs as JSON, read back with every key checked, and the JSON Schema of it.

All three follow from the fields and type hints of the records; see `graph.export.forms`.
"""

from typing import Any

from graph.export.forms import Misfit, form_of, plain
from graph.nodes import ModuleGraph

SCHEMA = 1
"""Raised whenever a graph written before can no longer be read."""


def to_json(graph: ModuleGraph) -> dict[str, Any]:
    """The graph as plain dictionaries, lists, texts and numbers; `from_json` reads it back."""
    return {"schema": SCHEMA, **plain(graph)}


def from_json(data: dict[str, Any]) -> ModuleGraph:
    """The graph `to_json` wrote.

    Raises ValueError, with the place, for another schema, missing or unknown keys, values of another
    type, and references to what isn't there.
    """
    if not isinstance(data, dict):
        raise ValueError("graph: got no object, expected what to_json writes")
    schema = data.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise ValueError(f"graph schema {schema!r}; this version reads {SCHEMA}")
    try:
        graph = form_of(ModuleGraph).read({key: value for key, value in data.items() if key != "schema"})
        assert isinstance(graph, ModuleGraph)
        _check_references(graph)
    except Misfit as misfit:
        raise ValueError(f"graph, {misfit}") from None
    return graph


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what `to_json` writes. References aren't expressed in it."""
    definitions: dict[str, Any] = {}
    form_of(ModuleGraph).schema(definitions)
    whole = definitions.pop("ModuleGraph")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Module graph",
        **whole,
        "properties": {"schema": {"const": SCHEMA}, **whole["properties"]},
        "required": ["schema", *whole["required"]],
        "$defs": definitions,
    }


def _check_references(graph: ModuleGraph) -> None:
    """Misfit where a path comes twice, or a tie or call that is referred to isn't there."""
    if len(graph.by_path) < len(graph.modules):
        raise Misfit("modules: one path comes twice")
    if [tie.index for tie in graph.ties] != list(range(len(graph.ties))):
        raise Misfit("ties: an index is not the place in the list")
    known = {None, *range(len(graph.ties))}
    for node in graph.modules:
        if not {node.tie, *(tensor.tie for tensor in node.tensors)} <= known:
            raise Misfit(f"modules, {node.path!r}: its tie is not there")
    ends = {-1, -2, *(call.id for call in graph.calls)}
    for place, edge in enumerate(graph.edges):
        if edge.source not in ends or edge.target not in ends:
            raise Misfit(f"edges[{place}]: a call it joins is not there")
