"""A data flow laid out in layers from left to right: the same places for the same flow, and no overlaps.

Layers are longest paths; within a layer things stand by the mean place of their neighbours (Sugiyama 1981),
as near to these as they fit (pool adjacent violators). What passes a layer has a place in it, so that no wire
runs through a box. Residual edges bend nothing: they run in lanes below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graph.flow import FlowEdge
from surgery.picture.boxes import Box, Wire, around

BESIDE, BELOW = 24.0, 14.0
"""Room between layers, and between things of one layer."""
PASSING = 6.0
"""Height that a wire takes in a layer that it passes."""
LANE_FIRST, LANE, BEND = 26.0, 11.0, 6.0
WEIGHT = 0.05
"""Of a wire that passes, beside a box."""
ROUNDS = 8

Size = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Boxes by id, from (0, 0) on, and wires in the order of the edges; `size` has the lanes with it."""

    boxes: dict[str, Box]
    wires: tuple[Wire, ...]
    size: Size


def layered(sizes: Mapping[str, Size], edges: Sequence[FlowEdge]) -> Layout:
    """The layout of things of these `sizes`; edges go from earlier to later things."""
    known = [edge for edge in edges if edge.source in sizes and edge.target in sizes]
    held = {end for edge in known if not edge.residual for end in (edge.source, edge.target)}
    # A residual edge would bend the main line, so it shapes the layout only where nothing else holds a node.
    shaping = [edge for edge in known if not edge.residual or not {edge.source, edge.target} <= held]
    net = _Net(sizes, shaping)
    boxes = net.placed()
    foot = max((box.bottom for box in (*boxes.values(), *net.parts.values())), default=0.0)
    lanes = _lanes([edge for edge in known if edge.residual], boxes)
    wires = []
    for edge in known:
        source, target = boxes[edge.source], boxes[edge.target]
        if edge.residual:
            start, level = source.right + BEND, foot + LANE_FIRST + lanes[edge] * LANE
            end = target.middle[0]
            dots = ((start, source.middle[1]), (start, level), (end, level), (end, target.bottom))
            wires.append(Wire(dots, residual=True))
        else:
            wires.append(Wire(net.route(edge, boxes)))
    low = foot + LANE_FIRST + max(lanes.values()) * LANE if lanes else foot
    return Layout(boxes, tuple(wires), (around(boxes.values()).right, low))


class _Net:
    """Layers of things and of the wires that pass them; a wire's part is (edge, layer)."""

    def __init__(self, sizes: Mapping[str, Size], edges: Sequence[FlowEdge]) -> None:
        self.sizes: dict[object, Size] = {name: size for name, size in sizes.items()}  # noqa: C416  other keys too
        self.rank = _ranks(list(sizes), edges)
        self.before: dict[object, list[object]] = {name: [] for name in sizes}
        self.after: dict[object, list[object]] = {name: [] for name in sizes}
        self.layers: list[list[object]] = [[] for _ in range(max(self.rank.values(), default=-1) + 1)]
        for name in sizes:
            self.layers[self.rank[name]].append(name)
        for edge in edges:
            self._thread(edge)
        self.parts: dict[object, Box] = {}
        self.columns: list[tuple[float, float]] = []

    def _thread(self, edge: FlowEdge) -> None:
        chain: list[object] = [edge.source]
        for rank in range(self.rank[edge.source] + 1, self.rank[edge.target]):
            part = (edge, rank)
            self.sizes[part], self.before[part], self.after[part] = (0.0, PASSING), [], []
            self.layers[rank].append(part)
            chain.append(part)
        chain.append(edge.target)
        for one, two in pairwise(chain):
            self.after[one].append(two)
            self.before[two].append(one)

    def placed(self) -> dict[str, Box]:
        """The boxes of things; then `parts` has those of passing wires, and `columns` the layers' sides."""
        self._order()
        height = self._heights()
        left = 0.0
        found: dict[str, Box] = {}
        top = min((height[name] - self.sizes[name][1] / 2 for name in height), default=0.0)
        for layer in self.layers:
            wide = max(self.sizes[name][0] for name in layer)
            for name in layer:
                width, tall = self.sizes[name]
                y = height[name] - tall / 2 - top
                if isinstance(name, str):
                    found[name] = Box(left + (wide - width) / 2, y, width, tall)
                else:
                    self.parts[name] = Box(left, y, wide, tall)
            self.columns.append((left, left + wide))
            left += wide + BESIDE
        return {name: found[name] for name in self.rank}

    def route(self, edge: FlowEdge, boxes: Mapping[str, Box]) -> tuple[tuple[float, float], ...]:
        """From side to side, bending between layers only: in them it runs straight past what is wider."""
        source, target = boxes[edge.source], boxes[edge.target]
        start, end = source.middle[1], target.middle[1]
        first, last = self.rank[edge.source], self.rank[edge.target]
        dots = [(source.right, start), (self.columns[first][1], start)]
        for rank in range(first + 1, last):
            part = self.parts[edge, rank]
            dots += [(part.x, part.middle[1]), (part.right, part.middle[1])]
        return tuple(dict.fromkeys([*dots, (self.columns[last][0], end), (target.x, end)]))

    def _order(self) -> None:
        """Fewer crossings, by turns from the left and the right; else the order of the code."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for turn in range(ROUNDS):
            if not fewest:
                break
            near = self.before if turn % 2 == 0 else self.after
            for layer in self.layers if turn % 2 == 0 else reversed(self.layers):
                place = {name: spot for other in self.layers for spot, name in enumerate(other)}
                layer.sort(key=lambda name: _mean([place[other] for other in near[name]], place[name]))
            if (crossings := self._crossings()) < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def _crossings(self) -> int:
        place = {name: spot for layer in self.layers for spot, name in enumerate(layer)}
        found = 0
        for layer in self.layers:
            wires = [(place[name], place[other]) for name in layer for other in self.after[name]]
            for number, (start, end) in enumerate(wires):
                found += sum(start < other and end > far for other, far in wires[number + 1 :])
        return found

    def _heights(self) -> dict[object, float]:
        """The middle of everything, near the mean of its neighbours and clear of what is in its layer."""
        height: dict[object, float] = {}
        for layer in self.layers:
            height.update(_apart(layer, dict.fromkeys(layer, 0.0), self.sizes))
        for turn in range(ROUNDS):
            near = self.before if turn % 2 == 0 else self.after
            for layer in self.layers if turn % 2 == 0 else reversed(self.layers):
                wished = {name: _mean(self._pulls(name, near, height), height[name]) for name in layer}
                height.update(_apart(layer, wished, self.sizes))
        return height

    def _pulls(
        self, name: object, near: Mapping[object, list[object]], height: Mapping[object, float]
    ) -> list[float]:
        """Where a thing is pulled to: by its neighbours, of which wires that only pass count if alone."""
        things = [other for other in near[name] if isinstance(other, str)] if isinstance(name, str) else []
        return [height[other] for other in things or near[name]]


def _ranks(names: list[str], edges: Sequence[FlowEdge]) -> dict[str, int]:
    """The layer of each: one behind the last of those before it; what has none stands at what it feeds."""
    rank = dict.fromkeys(names, 0)
    into: dict[str, list[str]] = {name: [] for name in names}
    out: dict[str, list[str]] = {name: [] for name in names}
    for edge in edges:
        into[edge.target].append(edge.source)
        out[edge.source].append(edge.target)
    for name in names:
        rank[name] = max((rank[other] + 1 for other in into[name]), default=0)
    for name in names:
        if not into[name] and out[name]:
            rank[name] = min(rank[other] for other in out[name]) - 1
    return rank


def _mean(places: Sequence[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _apart(
    layer: Sequence[object], wished: Mapping[object, float], sizes: Mapping[object, Size]
) -> dict[object, float]:
    """Places in this order, none upon another, the least squares away from those wished for.

    What a wire wishes for counts little beside a box.
    """
    offsets, foot = [0.0], 0.0
    for one, two in pairwise(layer):
        foot += (sizes[one][1] + sizes[two][1]) / 2 + BELOW
        offsets.append(foot)
    blocks: list[tuple[float, float, int]] = []  # sum, weight, count of a mean; means rise
    for name, offset in zip(layer, offsets, strict=False):
        weight = 1.0 if isinstance(name, str) else WEIGHT
        total, count = weight * (wished[name] - offset), 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / weight:
            more, heavier, others = blocks.pop()
            total, weight, count = total + more, weight + heavier, count + others
        blocks.append((total, weight, count))
    means = [total / weight for total, weight, count in blocks for _ in range(count)]
    return {name: mean + offset for name, mean, offset in zip(layer, means, offsets, strict=False)}


def _lanes(edges: Sequence[FlowEdge], boxes: Mapping[str, Box]) -> dict[FlowEdge, int]:
    """Residual edges that overlap run in lanes of their own, short ones on top."""
    spans = sorted(
        (boxes[edge.target].middle[0] - boxes[edge.source].right, boxes[edge.source].right, place)
        for place, edge in enumerate(edges)
    )
    taken: list[list[tuple[float, float]]] = []
    found: dict[FlowEdge, int] = {}
    for length, start, place in spans:
        end = start + length
        free = (lane for lane, held in enumerate(taken) if all(end < s or start > e for s, e in held))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((start, end))
        found[edges[place]] = lane
    return found
