"""What DOT and GraphML both draw: calls and tensors, or the tree of a model that wasn't traced, and ties."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from graph.nodes import CallNode, ModuleGraph, TensorSpec


@dataclass(frozen=True, slots=True)
class Point:
    """A call, a module of an untraced model, or an end. `shape` is of its outputs."""

    id: str
    kind: Literal["call", "module", "input", "output"]
    label: str
    module: str = ""
    class_name: str = ""
    function: str = ""
    macs: int = 0
    shape: str = ""
    opaque: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A tensor that goes from call to call, a child of a module, or a tie between two points."""

    source: str
    target: str
    kind: Literal["tensor", "child", "tie"]
    label: str = ""
    shape: str = ""
    dtype: str = ""
    argument: int | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """Points in the order of the calls, or of the tree, and the lines between them."""

    points: tuple[Point, ...]
    lines: tuple[Line, ...]


def drawing(graph: ModuleGraph) -> Drawing:
    """The calls of `graph` and the tensors between them; of a graph without calls its tree.

    A tie is a line from each of its places to the next: from the first call that reads there.
    """
    if graph.calls:
        points, lines = _called(graph), _tensors(graph)
    else:
        points, lines = _tree(graph), _children(graph)
    return Drawing(points, (*lines, *_ties(graph, _at(graph, points))))


def label_of(call: CallNode) -> str:
    """The path of the module, and below it the function it called."""
    path = call.module or "(root)"
    return path if call.function is None else f"{path}\n{call.function}"


def shapes(tensors: tuple[TensorSpec, ...]) -> str:
    """`2×16×64`, several separated by a comma; `scalar` for no sides."""
    return ", ".join("×".join(map(str, tensor.shape)) or "scalar" for tensor in tensors)


def _called(graph: ModuleGraph) -> tuple[Point, ...]:
    made = [Point("input", "input", "input")]
    for call in graph.calls:
        node = graph.by_path.get(call.module)
        made.append(
            Point(
                id=f"n{call.id}",
                kind="call",
                label=label_of(call),
                module=call.module,
                class_name=node.class_name if node else "",
                function=call.function or "",
                macs=call.macs,
                shape=shapes(call.outputs),
                opaque=(node.opaque or "") if node and call.function is None else "",
            )
        )
    return (*made, Point("output", "output", "output"))


def _tensors(graph: ModuleGraph) -> Iterator[Line]:
    for edge in graph.edges:
        source, target = (_id(end) for end in (edge.source, edge.target))
        shape = shapes((edge.tensor,))
        yield Line(source, target, "tensor", shape, shape, edge.tensor.dtype, edge.argument)


def _id(call: int) -> str:
    return {-1: "input", -2: "output"}.get(call, f"n{call}")


def _tree(graph: ModuleGraph) -> tuple[Point, ...]:
    return tuple(
        Point(f"n{place}", "module", node.path or "(root)", node.path, node.class_name)
        for place, node in enumerate(graph.modules)
    )


def _children(graph: ModuleGraph) -> Iterator[Line]:
    ids = {node.path: f"n{place}" for place, node in enumerate(graph.modules)}
    for path, here in ids.items():
        parent = path.rpartition(".")[0]
        if path and parent in ids:
            yield Line(ids[parent], here, "child")


def _at(graph: ModuleGraph, points: tuple[Point, ...]) -> dict[str, str]:
    """By path of a module or tensor, the first point that is there, or reads it."""
    found: dict[str, str] = {}
    for call in graph.calls:
        for path in call.reads:
            found.setdefault(path, f"n{call.id}")
    for point in points:
        if point.kind == "module":
            for tensor in graph[point.module].tensors:
                found.setdefault(tensor.path, point.id)
        path = point.module
        while path and path not in found:  # what is called inside a module stands for it
            found[path] = point.id
            path = path.rpartition(".")[0]
    return found


def _ties(graph: ModuleGraph, at: dict[str, str]) -> Iterator[Line]:
    for tie in graph.ties:
        for one, two in pairwise(at[path] for path in tie.paths if path in at):
            if one != two:
                yield Line(one, two, "tie", f"tie {tie.index + 1}")
