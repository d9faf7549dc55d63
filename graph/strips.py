"""Repeated blocks as strips, and lists of stages that are drawn one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from graph.nodes import ModuleGraph, ModuleNode
from graph.remembered import once_per_graph
from graph.repeats import runs
from graph.stages import given, is_map
from graph.tree import join

MOST_STAGES = 32
"""A longer list stays one card: it would be a row that nobody reads."""
LEAST_BLOCK = 3
"""Modules with weights in a block that differs from its neighbours: a convolution with its norm is none."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Children of the container at `parent`, from the first to the last that belong together."""

    parent: str
    paths: tuple[str, ...]
    what: str
    """How many there are of which class, or of `blocks` where the classes are many."""


@once_per_graph
def strips(graph: ModuleGraph) -> dict[str, Strip]:
    """By container, its repeated blocks: alike ones, and neighbours of their class that give the same shape.

    A stage whose first block widens, a decoder whose first block has no experts: these are one strip too.
    """
    repeated: dict[str, list[str]] = {}
    for run in runs(graph):
        if _is_block(graph, run.paths[0], len(run.paths)):
            repeated.setdefault(run.parent, []).extend(run.paths)
    made: dict[str, Strip] = {}
    above: set[str] = set()
    for node in reversed(graph.modules):  # what is inside comes first: a stage that holds a strip is no block
        if not node.container:
            continue
        children = [join(node.path, name) for name in node.children]
        alike = set(repeated.get(node.path, ()))
        places = [place for place, path in enumerate(children) if path in alike]
        if places:
            paths = _stretched(graph, children, places)
        else:
            paths = _kindred(graph, ["" if path in above else path for path in children])
        if paths:
            made[node.path] = Strip(node.path, tuple(paths), _what(graph, paths))
            above.update(_ancestors(node.path))
    return {node.path: made[node.path] for node in graph.modules if node.path in made}


@once_per_graph
def staged(graph: ModuleGraph) -> frozenset[str]:
    """Containers of stages: what is in them gives maps of several sizes, one after the other."""
    shapes, held, ran = given(graph), strips(graph), {span.module for span in graph.spans}
    found: set[str] = set()
    for node in graph.modules:
        if not node.container or node.path in held or not 2 <= len(node.children) <= MOST_STAGES:
            continue
        children = [join(node.path, name) for name in node.children]
        gives = [shapes.get(path) for path in children]
        if len(set(gives)) > 1 and all(map(is_map, gives)):
            deep = sum(bool(graph[path].children) for path in children)
            # A sequence that runs as a whole may be a stem, or a block: stages have more in them.
            large = deep > 1 and any(_weighted(graph, path) >= LEAST_BLOCK for path in children)
            if large if node.path in ran else deep or not _follow_each_other(graph, children):
                found.add(node.path)
    return frozenset(found)


def experts(node: ModuleNode) -> int:
    """How many experts a module holds as slices of its own tensors; 0 for any other."""
    sides = [
        tensor.shape[0] for tensor in node.tensors if len(tensor.shape) == 3 and tensor.kind == "parameter"
    ]
    told = dict(node.attributes).get("num_experts")
    alike = len(set(sides)) == 1 and (len(sides) > 1 or told == sides[0])
    return sides[0] if alike and sides[0] > 1 else 0


def _what(graph: ModuleGraph, paths: list[str]) -> str:
    counts = Counter(graph[path].class_name for path in paths)
    few = len(counts) <= 2
    return (
        " · ".join(f"{count} × {name}" for name, count in counts.items()) if few else f"{len(paths)} blocks"
    )


def _ancestors(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:size]) for size in range(1, len(parts) + 1)]


def _follow_each_other(graph: ModuleGraph, paths: list[str]) -> bool:
    """Whether nothing that is a module's runs between them."""
    places = [place for place, call in enumerate(graph.calls) if call.module in paths]
    between = graph.calls[places[0] : places[-1]] if places else ()
    return all(call.module in paths for call in between if call.function is None)


def _stretched(graph: ModuleGraph, children: list[str], places: list[int]) -> list[str]:
    first, last = places[0], places[-1]
    while first > 0 and _are_kin(graph, children[first - 1], children[first]):
        first -= 1
    while last + 1 < len(children) and _are_kin(graph, children[last + 1], children[last]):
        last += 1
    return children[first : last + 1]


def _kindred(graph: ModuleGraph, children: list[str]) -> list[str]:
    """The longest stretch of blocks of one class where none is alike to another."""
    best: list[str] = []
    place = 0
    while place < len(children):
        stretch = _stretched(graph, children[place:], [0])
        best = stretch if len(stretch) > max(1, len(best)) else best
        place += len(stretch)
    return best


def _are_kin(graph: ModuleGraph, one: str, two: str) -> bool:
    """Whether two neighbours are blocks of one class that give one shape; sequences say nothing by theirs."""
    if not one or not two or one not in graph or two not in graph:
        return False
    first, second = graph[one], graph[two]
    alike = first.class_name == second.class_name and bool(first.children and second.children)
    shapes = given(graph)
    same = one in shapes and shapes[one] == shapes.get(two)
    return alike and same and not first.container and _weighted(graph, one) >= LEAST_BLOCK


def _is_block(graph: ModuleGraph, path: str, count: int) -> bool:
    """Whether repeats of `path` are worth a strip: blocks with insides, or many leaves with weights."""
    return _weighted(graph, path) > 0 and (bool(graph[path].children) or count >= 4)


def _weighted(graph: ModuleGraph, path: str) -> int:
    """How many modules at or below `path` have tensors, counted up to where it is a block."""
    count, waiting = 0, [path]
    for place in waiting:  # grows while it is read
        node = graph[place]
        count += bool(node.tensors)
        if count >= LEAST_BLOCK:
            break
        waiting.extend(join(place, name) for name in node.children)
    return count
