"""What a picture shows, and where: the folded model in a row, an opened block under it, ties as threads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from graph.flow import Flow, FlowNode, Kind, inside, overview
from graph.nodes import ModuleGraph
from graph.paths import is_below
from graph.rollup import rollup
from graph.threads import numbers, threads
from graph.units import short
from surgery.adapters.drawn import adapted, drawn_whole
from surgery.picture.arcs import Anchor, Arc, arcs
from surgery.picture.boxes import Box, Dot, Wire, around
from surgery.picture.layers import Layout, Size, layered
from surgery.picture.names import called, least, told_apart
from surgery.picture.sizes import (
    CELL_GAP,
    CELL_HEIGHT,
    CODE,
    FOOT,
    HANG,
    HEADER,
    PAD,
    SMALL,
    STRIP_HEIGHT,
    STRIP_INSET,
    STRIP_NAME,
    STRIP_TOP,
    open_size,
    overview_size,
)
from surgery.picture.text import width_of

Mark = Literal["", "new", "changed", "gone"]


@dataclass(frozen=True)
class Shown:
    """What is known of modules beside their graph: scores by path, and the states to compare with.

    `base` is the graph before the edits: what is new or another now is marked. `result` is the graph after
    them: what is not there any more is marked.
    """

    scores: Mapping[str, float] = field(default_factory=dict)
    base: ModuleGraph | None = None
    result: ModuleGraph | None = None


@dataclass(frozen=True)
class Node:
    """A box with text; a strip's cells are the blocks in it."""

    kind: Kind
    path: str
    title: str
    subtitle: str
    box: Box
    mark: Mark = ""
    score: float | None = None
    is_opaque: bool = False
    has_failed: bool = False
    is_adapted: bool = False
    ties: tuple[int, ...] = ()
    cells: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A block's inner flow in a card of its own; `guides` lead to it from where the block is."""

    title: str
    subtitle: str
    box: Box
    nodes: tuple[Node, ...]
    wires: tuple[Wire, ...]
    guides: tuple[tuple[Dot, Dot], ...]


@dataclass(frozen=True)
class Scene:
    """All that is drawn; `ties` are the ends of each thread by its number."""

    nodes: tuple[Node, ...]
    wires: tuple[Wire, ...]
    opened: Opened | None
    arcs: tuple[Arc, ...]
    ties: dict[int, tuple[str, ...]]
    failed_at: str = ""
    """Where the forward raised; what comes behind was never called and is not drawn."""

    @property
    def box(self) -> Box:
        """Around everything."""
        boxes = [*(node.box for node in self.nodes), *(arc.box for arc in self.arcs)]
        boxes += [node.box.moved(0, -STRIP_NAME) for node in self.nodes if node.kind == "strip"]
        lanes = [Box(x, y, 0, 0) for wire in self.wires for x, y in wire.dots]
        return around([*boxes, *lanes, *([self.opened.box] if self.opened else [])])


def scene(graph: ModuleGraph, opened: str | None = None, shown: Shown | None = None) -> Scene:
    """The scene of a graph, with the module at `opened` below it; KeyError for one that is not there."""
    shown = shown or Shown()
    flow = told_apart(overview(graph))
    found = threads(graph, set(flow.paths))
    teller = _Teller(graph, shown, numbers(found))
    laid = _with_names(layered({node.id: overview_size(node) for node in flow.nodes}, flow.edges), flow)
    nodes = tuple(teller.node(node, laid.boxes[node.id]) for node in flow.nodes)
    below = None if opened is None else _hung(graph, opened, nodes, laid.size, teller)
    ties = {thread.index: thread.ends for thread in found}
    drawn = [*arcs(ties, _anchors(nodes)), *(arcs(ties, _open_anchors(below)) if below else ())]
    failed_at = "" if graph.problem is None else graph.problem.path or graph.class_name
    return Scene(nodes, laid.wires, below, tuple(drawn), ties, failed_at)


def _with_names(laid: Layout, flow: Flow) -> Layout:
    """The layout with strips as tall as they are drawn: the room for their names lies above and below."""
    strips = {node.id for node in flow.nodes if node.kind == "strip"}
    boxes = {
        name: replace(box.moved(0, STRIP_NAME), height=STRIP_HEIGHT) if name in strips else box
        for name, box in laid.boxes.items()
    }
    known = [edge for edge in flow.edges if {edge.source, edge.target} <= boxes.keys()]
    wires = [
        Wire((*wire.dots[:-1], (wire.dots[-1][0], boxes[edge.target].bottom)), True)
        if wire.residual
        else wire
        for edge, wire in zip(known, laid.wires, strict=True)
    ]
    return Layout(boxes, tuple(wires), laid.size)


class _Teller:
    """What there is to say of a module that is drawn."""

    def __init__(self, graph: ModuleGraph, shown: Shown, tied: Mapping[str, list[int]]) -> None:
        self.graph, self.shown, self.tied = graph, shown, tied
        self.before = {node.origin: node.structure for node in (shown.base.modules if shown.base else ())}
        self.left = {node.origin for node in (shown.result.modules if shown.result else ())}

    def node(self, item: FlowNode, box: Box) -> Node:
        """A node of a flow in its box, with its cells."""
        if item.kind != "module" or item.path not in self.graph:
            cells = tuple(self._cells(item, box)) if item.kind == "strip" else ()
            return Node(item.kind, item.path, item.title, item.subtitle, box, cells=cells)
        return self._told(item.path, item.title, item.subtitle, box)

    def _told(self, path: str, title: str, subtitle: str, box: Box) -> Node:
        problem = self.graph.problem
        return Node(
            "module",
            path,
            title,
            subtitle,
            box,
            mark=self._mark(path),
            score=self.shown.scores.get(path),
            is_opaque=self.graph[path].opaque is not None,
            has_failed=problem is not None and bool(path) and is_below(problem.path, path),
            is_adapted=adapted(self.graph, path),
            ties=tuple(self.tied.get(path) or self.tied.get(f"{path}.base") or ()),
        )

    def _cells(self, item: FlowNode, box: Box) -> list[Node]:
        pitch = (box.width - 2 * STRIP_INSET) / len(item.paths)
        gap = min(CELL_GAP, pitch * 0.18)
        top, width = box.y + STRIP_TOP, pitch - gap
        return [
            self._told(
                path,
                path.rpartition(".")[2],
                "",
                Box(box.x + STRIP_INSET + number * pitch + gap / 2, top, width, CELL_HEIGHT),
            )
            for number, path in enumerate(item.paths)
        ]

    def _mark(self, path: str) -> Mark:
        node = self.graph[path]
        if self.shown.result is not None:
            return "" if node.origin in self.left else "gone"
        if node.is_new:
            return "new"
        before = self.before.get(node.origin)
        return "changed" if before is not None and before != node.structure else ""


def _hung(graph: ModuleGraph, path: str, placed: Collection[Node], size: Size, teller: _Teller) -> Opened:
    """The block at `path` under the overview, as wide as that at the least."""
    flow = _drawn(graph, path)
    laid = _with_names(layered({node.id: open_size(node) for node in flow.nodes}, flow.edges), flow)
    node = graph[path]
    alike = sum(other.structure == node.structure for other in graph.modules) - 1
    subtitle = f"{node.class_name} · {short(rollup(graph)[path].parameters)}"
    subtitle += f" · alike: {alike} other{'s' if alike > 1 else ''}" if alike else ""
    title = path or graph.class_name
    heading = width_of(title, CODE, mono=True) + width_of(subtitle, SMALL) + 3 * PAD
    width = max(laid.size[0] + 2 * PAD, size[0], heading)
    head = around([node.box for node in placed])
    # What hangs lower than the strips, as threads and lanes do, has its room above the block.
    card = Box(head.middle[0] - width / 2, max(head.bottom, size[1]) + HANG, width, 0)
    card = Box(card.x, card.y, width, HEADER + max(laid.size[1], 40.0) + FOOT)
    right, down = card.x + (width - laid.size[0]) / 2, card.y + HEADER
    ends = {node.id: node.kind for node in flow.nodes if node.kind in ("input", "output")}
    wires = []
    known = [edge for edge in flow.edges if {edge.source, edge.target} <= laid.boxes.keys()]
    for edge, wire in zip(known, (wire.moved(right, down) for wire in laid.wires), strict=True):
        dots = list(wire.dots)
        if edge.source in ends:  # a wire comes in from outside the card, and leaves it
            dots[0] = (card.x + (7 if edge.residual else 0), dots[0][1])
            if edge.residual:
                dots[1] = (card.x + 7, dots[1][1])
        if edge.target in ends and not edge.residual:
            dots[-1] = (card.right, dots[-1][1])
        wires.append(Wire(tuple(dots), edge.residual))
    nodes = tuple(
        teller.node(item, laid.boxes[item.id].moved(right, down))
        for item in flow.nodes
        if item.id not in ends
    )
    return Opened(title, subtitle, card, nodes, tuple(wires), _guides(path, placed, card))


def _drawn(graph: ModuleGraph, path: str) -> Flow:
    flow = drawn_whole(inside(graph, path), graph, path)
    nodes = tuple(called(node, least(node)) for node in flow.nodes)
    return replace(flow, nodes=nodes)


def _guides(path: str, placed: Collection[Node], card: Box) -> tuple[tuple[Dot, Dot], ...]:
    inset = min(60.0, card.width / 8)
    for node in placed:
        y = node.box.bottom
        for item in (node, *node.cells):
            if path and item.path == path:
                return (
                    ((item.box.x, y), (card.x + inset, card.y)),
                    ((item.box.right, y), (card.right - inset, card.y)),
                )
    return ()


def _anchors(nodes: Collection[Node]) -> dict[str, Anchor]:
    found = {}
    for node in nodes:
        if node.kind != "strip" and node.path:
            found[node.path] = Anchor(node.box, node.box.bottom)
        for cell in node.cells:
            foot = node.box.bottom
            found[cell.path] = Anchor(replace(cell.box, y=node.box.y), foot, is_cell=True)
    return found


def _open_anchors(opened: Opened) -> dict[str, Anchor]:
    boxes = {node.path: node.box for node in opened.nodes if node.path and node.kind == "module"}
    return {path: Anchor(box, box.bottom, is_inside=True) for path, box in boxes.items()}
