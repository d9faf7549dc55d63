"""What modules give: the maps of a staged network with channels and sides, or fewer and wider positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graph.nodes import ModuleGraph, TensorSpec
from graph.remembered import once_per_graph

Shape = tuple[int, ...]
"""Without the batch: channels and sides of a map, or positions and their width."""


@once_per_graph
def given(graph: ModuleGraph) -> dict[str, Shape]:
    """By path, the shape that a module's first run gives last: of each that gives floats for a batch."""
    found: dict[str, TensorSpec] = {}
    for call in graph.calls:
        if call.function is None and call.outputs:
            found.setdefault(call.module, call.outputs[0])
    out_of: dict[int, list[tuple[int, TensorSpec]]] = {}
    for edge in graph.edges:
        out_of.setdefault(edge.source, []).append((edge.target, edge.tensor))
    for span in sorted(graph.spans, key=lambda span: span.start):
        calls = range(span.start, span.stop)
        leaving = (spec for call in reversed(calls) for to, spec in out_of.get(call, ()) if to not in calls)
        last = next(leaving, None)
        if last is not None:
            found.setdefault(span.module, last)
    return {path: spec.shape[1:] for path, spec in found.items() if _is_data(spec)}


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
