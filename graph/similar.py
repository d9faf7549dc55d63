"""Modules that are like another one: of its class, in its role in every block, or of its shape."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Literal, get_args

from graph.nodes import ModuleGraph, ModuleNode

Kind = Literal["class", "role", "shape"]
KINDS: tuple[str, ...] = get_args(Kind)


def similar(graph: ModuleGraph, paths: Iterable[str], kind: str) -> tuple[str, ...]:
    """Paths of the modules like one of those at `paths`, these among them, in the order of the tree.

    `class`: of the same class. `role`: at the same place of other items of the lists it is in, such as every
    block's `mlp.up_proj`; the class must be the same. `shape`: alike to the last number, see `ModuleNode`.
    KeyError for an unknown path.
    """
    like: dict[str, Callable[[ModuleNode], Hashable]] = {
        "class": lambda node: node.class_name,
        "role": lambda node: (node.class_name, _role(graph, node.path)),
        "shape": lambda node: node.structure,
    }
    key = like[kind]
    wanted = {key(graph[path]) for path in paths}
    return tuple(node.path for node in graph.modules if key(node) in wanted)


def _role(graph: ModuleGraph, path: str) -> tuple[str, ...]:
    """The names on the way to a module, those of items of lists left out."""
    parts, at = [], ""
    for name in path.split(".") if path else ():
        around = graph.by_path.get(at)
        at = f"{at}.{name}" if at else name
        parts.append("*" if around is not None and around.container and name.isdigit() else name)
    return tuple(parts)
