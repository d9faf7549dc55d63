"""Graphs as GraphML, which yEd, Gephi, Cytoscape and networkx read."""

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape

from graph.export.drawing import drawing
from graph.export.text import escaped
from graph.nodes import ModuleGraph

# Characters that no XML 1.0 file may hold, not even as a reference.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_Values = dict[str, str | int | None]

# Attributes by what they belong to. GraphML wants them declared first, with their types.
_TYPES: dict[str, dict[str, str]] = {
    "graph": {"class": "string", "tokens": "long", "problem": "string"},
    "node": {
        "label": "string",
        "kind": "string",
        "module": "string",
        "class": "string",
        "function": "string",
        "macs": "long",
        "shape": "string",
        "opaque": "string",
    },
    "edge": {"kind": "string", "label": "string", "shape": "string", "dtype": "string", "argument": "long"},
}


def to_graphml(graph: ModuleGraph) -> str:
    r"""The calls and tensors of `graph`, its tree if it wasn't traced, as GraphML text.

    Nodes have `label`, `kind` (call, module, input, output), `module` (the path), `class`,
    `function`, `macs` over the example inputs, `shape` of the outputs and `opaque` (why); edges
    `kind` (tensor, child, tie), `label`, `shape`, `dtype` and `argument`. What is empty is left
    out. Characters that XML has no way to write appear as escapes (`\x00`).
    """
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: ModuleGraph) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    for owner, types in _TYPES.items():
        for name, kind in types.items():
            yield f'  <key id="{owner}-{name}" for="{owner}" attr.name="{name}" attr.type="{kind}"/>'
    yield '  <graph id="model" edgedefault="directed">'
    problem = f"{graph.problem.path or '(root)'}: {graph.problem.message}" if graph.problem else None
    yield from _data("graph", {"class": graph.class_name, "tokens": graph.tokens, "problem": problem})
    drawn = drawing(graph)
    for point in drawn.points:
        values: _Values = {
            "label": point.label,
            "kind": point.kind,
            "module": point.module,
            "class": point.class_name,
            "function": point.function,
            "macs": point.macs,
            "shape": point.shape,
            "opaque": point.opaque,
        }
        yield f'    <node id="{point.id}">'
        yield from _data("node", values)
        yield "    </node>"
    for number, line in enumerate(drawn.lines):
        values = {
            "kind": line.kind,
            "label": line.label,
            "shape": line.shape,
            "dtype": line.dtype,
            "argument": line.argument,
        }
        yield f'    <edge id="e{number}" source="{line.source}" target="{line.target}">'
        yield from _data("edge", values)
        yield "    </edge>"
    yield "  </graph>"
    yield "</graphml>"


def _data(owner: str, values: _Values) -> Iterator[str]:
    for name, value in values.items():
        if value is not None and value != "":
            yield f'      <data key="{owner}-{name}">{xml(str(value))}</data>'


def xml(text: str) -> str:
    """`text` as XML text that reads back the same, but for characters that XML can't hold."""
    shown = _NOT_XML.sub(lambda found: escaped(found[0]), text)
    return escape(shown, {"\r": "&#13;"})  # a bare one would be read as a new line
