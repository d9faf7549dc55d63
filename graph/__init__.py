"""Models as graphs: extract one from a live module, select in it, cost it, fold it, write it down.

    from graph import extract, overview, select
    made = extract(model, {"input_ids": ids})       # tree, ties, calls and the tensors between them
    select("**.self_attn.{q,v}_proj", made)         # paths, in the order of the tree
    overview(made)                                  # what the canvas draws

Imports torch, networkx and the standard library; knows modules only, never where they come from.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from graph.cache import kv_cache_bytes_per_token
from graph.costs import Costs, costs
from graph.diff import GraphDiff, diff, diff_to_json
from graph.extract import extract
from graph.nodes import (
    CallNode,
    Edge,
    ModuleGraph,
    ModuleNode,
    ParameterNode,
    Problem,
    Span,
    TensorSpec,
    Tie,
)
from graph.paths import SelectorError, canonical, escape, nearest
from graph.repeats import Run, runs, structure
from graph.select import Selector, select, select_tensors
from graph.shell import NotShellable, Shell, shell
from graph.ties import ties
from graph.tracing import trace
from graph.tree import walk

if TYPE_CHECKING:
    from graph.export import from_json, json_schema, to_dot, to_graphml, to_json, to_networkx
    from graph.flow import Flow, FlowEdge, FlowNode, inside, overview

# Imported when first used: few who import a part of this package draw a graph or write one down.
_HOMES = {
    **dict.fromkeys(
        ("from_json", "json_schema", "to_dot", "to_graphml", "to_json", "to_networkx"), "graph.export"
    ),
    **dict.fromkeys(("Flow", "FlowEdge", "FlowNode", "inside", "overview"), "graph.flow"),
}

__all__ = [
    "CallNode",
    "Costs",
    "Edge",
    "Flow",
    "GraphDiff",
    "FlowEdge",
    "FlowNode",
    "ModuleGraph",
    "ModuleNode",
    "NotShellable",
    "ParameterNode",
    "Problem",
    "Run",
    "Selector",
    "SelectorError",
    "Shell",
    "Span",
    "TensorSpec",
    "Tie",
    "canonical",
    "costs",
    "diff",
    "diff_to_json",
    "escape",
    "extract",
    "from_json",
    "inside",
    "json_schema",
    "kv_cache_bytes_per_token",
    "nearest",
    "overview",
    "runs",
    "select",
    "select_tensors",
    "shell",
    "structure",
    "ties",
    "to_dot",
    "to_graphml",
    "to_json",
    "to_networkx",
    "trace",
    "walk",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'graph' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
