"""How far the sliders of a form go on this model, for fields that have no small bound of their own."""

from __future__ import annotations

from graph.nodes import ModuleGraph
from graph.paths import is_below
from widgets.desk import is_numbered
from widgets.fitting import LINEAR

_RANKED = frozenset({"attach", "low_rank", "recur"})
_WIDEST = 256
"""Of a rank: a slider has about as many pixels. Larger ones can be typed."""
_COUNTED = {"recur": ("loop", 1), "share_atoms": ("atoms", 0), "shorten": ("count", 1)}
"""Fields that count some of the targets, and how many of these are to be left."""


def reach(name: str, graph: ModuleGraph, selection: list[str]) -> dict[str, int]:
    """The largest value of a field's slider; what may be typed does not hang on it."""
    found: dict[str, int] = {}
    if name in _RANKED and (sides := _sides(graph, selection)):
        found["rank"] = min(*sides, _WIDEST)
    if name in _COUNTED:
        field, left = _COUNTED[name]
        found[field] = len(selection) - left
    if name == "stitch":
        lists = [len(node.children) for node in graph.modules if is_numbered(graph, node.path)]
        found = {"at": max(lists, default=1), "to": max(lists, default=1) - 1}
    return found


def _sides(graph: ModuleGraph, selection: list[str]) -> list[int]:
    """Rows and columns of the linear modules that are selected, or below what is."""
    return [
        size
        for node in graph.modules
        if node.class_name in LINEAR and any(is_below(node.path, path) for path in selection)
        for tensor in node.tensors
        if len(tensor.shape) == 2
        for size in tensor.shape
    ]
