"""Selectors of exactly the paths that are given: what `graph.select` finds again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from graph.nodes import ModuleGraph
from graph.paths import escape
from graph.select import TreeNode, module_tree


def selector_of(paths: Sequence[str], source: ModuleGraph | nn.Module) -> str:
    """A short selector of exactly these paths: neighbours of one container become a slice."""
    tree = (
        source.by_path
        if isinstance(source, ModuleGraph)
        else {item.path: item for item in module_tree(source)}
    )
    by_parent: dict[str, list[int]] = {}
    others: list[str] = []
    for path in paths:
        parent, _, name = path.rpartition(".")
        if path and is_numbered(tree, parent):
            by_parent.setdefault(parent, []).append(tree[parent].children.index(name))
        else:
            others.append(escape(path))
    parts = [
        f"{escape(parent)}{run}" for parent, found in by_parent.items() for run in _slices(sorted(found))
    ]
    return ", ".join(parts + others)


def is_numbered(tree: Mapping[str, TreeNode], path: str) -> bool:
    """Whether the module is a container of which an index means a child (see `graph.select`)."""
    node = tree.get(path)
    return node is not None and bool(node.children) and all(name.isdigit() for name in node.children)


def _slices(indices: list[int]) -> list[str]:
    found: list[str] = []
    start = previous = indices[0]
    for index in [*indices[1:], -1]:
        if index != previous + 1:
            found.append(f"[{start}]" if start == previous else f"[{start}:{previous + 1}]")
            start = index
        previous = index
    return found
