"""Modules that are like another one: of its class, in its role in every block, or of its shape."""

from __future__ import annotations

from typing import Literal, get_args

from graph.nodes import ModuleGraph

Kind = Literal["class", "role", "shape"]
KINDS: tuple[str, ...] = get_args(Kind)


def similar(graph: ModuleGraph, path: str, kind: str) -> tuple[str, ...]:
    """Paths of the modules like the one at `path`, itself among them, in the order of the tree.

    `class`: of the same class. `role`: at the same place of other items of the lists it is in, such as every
    block's `mlp.up_proj`; the class must be the same. `shape`: alike to the last number, see `ModuleNode`.
    KeyError for an unknown path.
    """
    node = graph[path]
    if kind == "shape":
        return tuple(other.path for other in graph.modules if other.structure == node.structure)
    fitting = [other for other in graph.modules if other.class_name == node.class_name]
    if kind == "role":
        role = _role(graph, path)
        fitting = [other for other in fitting if _role(graph, other.path) == role]
    return tuple(other.path for other in fitting)


def _role(graph: ModuleGraph, path: str) -> tuple[str, ...]:
    """The names on the way to a module, those of items of lists left out."""
    parts, at = [], ""
    for name in path.split(".") if path else ():
        around = graph.by_path.get(at)
        at = f"{at}.{name}" if at else name
        parts.append("*" if around is not None and around.container and name.isdigit() else name)
    return tuple(parts)
