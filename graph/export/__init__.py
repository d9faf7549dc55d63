"""Graphs written down: JSON and back with its schema, networkx, DOT, GraphML."""

from graph.export.as_dot import to_dot
from graph.export.as_graphml import to_graphml
from graph.export.as_json import SCHEMA, from_json, json_schema, to_json
from graph.export.as_networkx import to_networkx

__all__ = ["SCHEMA", "from_json", "json_schema", "to_dot", "to_graphml", "to_json", "to_networkx"]
