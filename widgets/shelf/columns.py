"""The cells that every row of the shelf has: the model's parts as its strips and cards draw them."""

from __future__ import annotations

from dataclasses import dataclass

from graph.costs import identity
from graph.flow import overview
from graph.nodes import ModuleGraph
from graph.paths import is_below

LISTS = "ModuleList"
"""What a gradient over depth counts in: see `surgery.merging.depths`."""


@dataclass(frozen=True)
class Section:
    """Cells side by side: the blocks of a strip, or one card; `depths` between 0 and 1 of each."""

    path: str
    title: str
    strip: bool
    paths: tuple[str, ...]
    depths: tuple[float, ...]

    @property
    def graded(self) -> bool:
        """Whether a gradient gives its cells values of their own."""
        return len(set(self.depths)) > 1


def sections(graph: ModuleGraph) -> tuple[Section, ...]:
    """The strips and cards with parameters, in the order of the data; a tied one only where it is first."""
    places = {node.path: place for place, node in enumerate(graph.modules)}
    first = next((node.path for node in graph.modules if node.class_name == LISTS and node.children), None)
    seen: set[str] = set()
    found = []
    for node in overview(graph).nodes:
        if node.kind not in ("strip", "module"):
            continue
        paths = node.paths if node.kind == "strip" else (node.path,)
        new = _parameters(graph, paths) - seen
        if new:
            seen |= new
            before = first is not None and places[node.path] < places[first]
            depths = tuple(_depth(graph, path, 0.0 if before else 1.0) for path in paths)
            found.append(Section(node.path, node.title, node.kind == "strip", paths, depths))
    return tuple(found)


def cells(columns: tuple[Section, ...]) -> list[str]:
    """The paths of all cells, in order."""
    return [path for section in columns for path in section.paths]


def _parameters(graph: ModuleGraph, paths: tuple[str, ...]) -> set[str]:
    return {
        identity(graph, tensor)
        for node in graph.modules
        if node.tensors and any(is_below(node.path, path) for path in paths)
        for tensor in node.tensors
        if tensor.kind == "parameter"
    }


def _depth(graph: ModuleGraph, path: str, elsewhere: float) -> float:
    parts = path.split(".")
    for length in range(1, len(parts)):
        parent = ".".join(parts[:length])
        node = graph[parent]
        if node.class_name == LISTS and parts[length] in node.children:
            return node.children.index(parts[length]) / max(1, len(node.children) - 1)
    return elsewhere
