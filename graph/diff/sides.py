"""One of two graphs that are laid side by side, and what it says about its subtrees."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from graph.nodes import ModuleGraph, ModuleNode, ParameterNode
from graph.paths import is_below
from graph.tree import join

Digests = Mapping[str, str]
"""By the path of a parameter or buffer, a text that is equal where the values are."""


class Side:
    """A graph and, where given, digests of its tensors by path."""

    def __init__(self, graph: ModuleGraph, digests: Digests) -> None:
        self.graph, self.digests = graph, digests
        self._contents: dict[str, str | None] = {}

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        """Where a subtree starts and stops among the modules, which are in the order of the tree."""
        nodes = self.graph.modules
        stops: dict[str, int] = {}
        open_: list[str] = []
        for place, node in enumerate(nodes):
            while open_ and not is_below(node.path, open_[-1]):
                stops[open_.pop()] = place
            open_.append(node.path)
        stops |= dict.fromkeys(open_, len(nodes))
        return {node.path: (place, stops[node.path]) for place, node in enumerate(nodes)}

    def below(self, path: str) -> Sequence[ModuleNode]:
        """The module at `path` and all below it."""
        start, stop = self._spans[path]
        return self.graph.modules[start:stop]

    def children(self, path: str) -> list[str]:
        """Paths of the children, without an ancestor that is held as a child."""
        paths = (join(path, name) for name in self.graph[path].children)
        return [child for child in paths if child in self.graph]

    def is_numbered(self, path: str) -> bool:
        """Whether the children are called 0, 1, 2 … in this order, as those of a list are."""
        node = self.graph[path]
        return node.container and node.children == tuple(map(str, range(len(node.children))))

    def tensors(self, path: str) -> Iterator[ParameterNode]:
        """Parameters and buffers at and below `path`."""
        return (tensor for node in self.below(path) for tensor in node.tensors)

    def values(self, path: str) -> list[tuple[str, str]]:
        """(name from `path` on, digest) of the tensors below whose digest is known."""
        known = ((tensor.path, self.digests.get(tensor.path)) for tensor in self.tensors(path))
        return [(name[len(path) :].lstrip("."), digest) for name, digest in known if digest is not None]

    def content(self, path: str) -> str | None:
        """A text equal for subtrees that hold the same values; None where no value is known."""
        if path not in self._contents:
            values = self.values(path) if self.digests else []
            digest = hashlib.sha256(repr(values).encode()).hexdigest()
            self._contents[path] = digest if values else None
        return self._contents[path]

    def structure(self, path: str) -> str:
        return self.graph[path].structure

    def class_name(self, path: str) -> str:
        return self.graph[path].class_name

    def origin(self, path: str) -> str:
        return self.graph[path].origin
