"""What modules give: the maps of a staged network with channels and sides, or fewer and wider positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graph.maps import channels
from graph.nodes import Edge, ModuleGraph, TensorSpec
from graph.remembered import once_per_graph

Shape = tuple[int, ...]
"""Without the batch: channels and sides of a map, or positions and their width."""


def given(graph: ModuleGraph) -> dict[str, Shape]:
    """By path, the shape that a module's first run gives last: of each that gives floats for a batch."""
    return {path: spec.shape[1:] for path, (spec, _) in _givers(graph).items()}


def drawn(graph: ModuleGraph) -> dict[str, Shape]:
    """As `given`, with the channels of every map before its sides; without what is not known to be a map.

    What has one side only, a sound or a text, is that many positions and their width.
    """
    where = channels(graph)
    made = {}
    for path, (spec, call) in _givers(graph).items():
        shape, known = spec.shape[1:], where.get(call)
        if is_map(shape):
            if known is None:
                continue
            shape = shape if known == "first" else (shape[-1], *shape[:-1])
        elif len(shape) == 2 and known == "first":
            shape = shape[::-1]
        made[path] = shape
    return made


_NOBODY = -1


@once_per_graph
def _givers(graph: ModuleGraph) -> dict[str, tuple[TensorSpec, int]]:
    """By path, the tensor that the module gives and the call that made it; `_NOBODY` for a second result."""
    found: dict[str, tuple[TensorSpec, int]] = {}
    for call in graph.calls:
        if call.function is None and call.outputs:
            found.setdefault(call.module, (call.outputs[0], call.id))
    out_of: dict[int, list[Edge]] = {}
    for edge in graph.edges:
        out_of.setdefault(edge.source, []).append(edge)
    for span in sorted(graph.spans, key=lambda span: span.start):
        calls = range(span.start, span.stop)
        leaving = (
            edge for call in reversed(calls) for edge in out_of.get(call, ()) if edge.target not in calls
        )
        last = next(leaving, None)
        if last is not None:
            found.setdefault(span.module, (last.tensor, last.source if last.output == 0 else _NOBODY))
    return {path: (spec, call) for path, (spec, call) in found.items() if _is_data(spec)}


def is_map(shape: Shape | None) -> bool:
    """Whether it is channels by height and width, or by more sides than these."""
    return shape is not None and len(shape) >= 3


def said(shapes: Mapping[str, Shape], wires: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What to write at each thing that gives a map, `16 × 8 × 8`; `4 tokens × 64` where stages narrow.

    `wires` are the pairs of things that follow each other. Positions are told only where some wire leads
    to fewer and wider ones: in a decoder they are the same from end to end.
    """
    pairs = [(shapes.get(source), shapes.get(target)) for source, target in wires]
    narrows = any(one and two and _merges(one, two) for one, two in pairs)
    made = {}
    for name, shape in shapes.items():
        if is_map(shape):
            made[name] = " × ".join(map(str, shape))
        elif narrows and len(shape) == 2:
            made[name] = f"{shape[0]} tokens × {shape[1]}"
    return made


def _merges(one: Shape, two: Shape) -> bool:
    turned = one == two[::-1]  # channels by length, as a convolution gives them
    return len(one) == len(two) == 2 and two[0] < one[0] and two[1] > one[1] and not turned


def _is_data(spec: TensorSpec) -> bool:
    return spec.dtype.startswith(("float", "bfloat")) and len(spec.shape) > 1
