"""The graph as text for other programs, by the name of the command's option."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from graph.export import to_dot, to_graphml, to_json
from graph.nodes import ModuleGraph
from surgery.errors import SurgeryError


def graph_json(graph: ModuleGraph) -> str:
    """The whole graph as JSON text."""
    return json.dumps(to_json(graph), allow_nan=False)


def written(graph: ModuleGraph, option: str) -> str:
    """The graph as `--json`, `--dot` or `--graphml` writes it, with a line break at its end."""
    return FORMATS[option](graph).rstrip("\n") + "\n"


def refuse_mixed(formats: Mapping[str, bool], views: Mapping[str, bool]) -> str:
    """The one format that was asked for, or the empty text.

    Raises SurgeryError for two at once, and for a view of the tree beside a format: that is always
    of the whole graph.
    """
    chosen = [option for option, given in formats.items() if given]
    beside = [option for option, given in views.items() if given]
    if len(chosen) > 1:
        raise SurgeryError("one format can be written at a time", got=" and ".join(chosen))
    if chosen and beside:
        raise SurgeryError(
            f"{chosen[0]} writes the whole graph", got=" and ".join(beside), hint="the tree, without a format"
        )
    return chosen[0] if chosen else ""


FORMATS: dict[str, Callable[[ModuleGraph], str]] = {
    "--json": graph_json,
    "--dot": to_dot,
    "--graphml": to_graphml,
}
