"""What the canvas draws: a block opened, or a model folded, as few nodes and edges.

Calls are contracted: reshapes, getters, activations without parameters and other nodes with one
visible predecessor pass through; what remains are modules, attention and products, and joins.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from graph.contract import INPUT, OUTPUT, Contraction, contract
from graph.costs import identity
from graph.nodes import CallNode, ModuleGraph, ModuleNode
from graph.paths import is_below
from graph.remembered import once_per_graph
from graph.stages import drawn, given, is_map, said
from graph.strips import experts, staged, strips
from graph.tree import join
from graph.units import short

Kind = Literal["module", "join", "function", "input", "output", "strip"]

_SIGNS = {"add": "+", "mul": "×", "sub": "−", "div": "÷", "truediv": "÷", "stack": "stack"}
_ATTENTION = {"scaled_dot_product_attention": "sdpa", "flex_attention": "flex",
              "multi_head_attention_forward": "multi-head"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FlowNode:
    """One thing drawn.

    `path` is the module's, or that of the module whose forward joins; of a strip the container.
    `paths` are the blocks of a strip, in order. `gives` is what a stage gives, `16 × 8 × 8`: channels and
    sides of its map; empty where it says nothing, as in a decoder.
    """

    id: str
    kind: Kind
    path: str
    title: str
    subtitle: str
    paths: tuple[str, ...] = ()
    gives: str = ""


@dataclass(frozen=True, slots=True)
class FlowEdge:
    """Data between two nodes; `residual` if it goes round others on its way to a join."""

    source: str
    target: str
    residual: bool = False


@dataclass(frozen=True, slots=True)
class Flow:
    """Nodes in the order of their first call and edges between them; always acyclic."""

    nodes: tuple[FlowNode, ...]
    edges: tuple[FlowEdge, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Of the modules drawn, in order, each once: cards, and the blocks of strips."""
        drawn = (node.paths or ((node.path,) if node.kind == "module" else ()) for node in self.nodes)
        return tuple(dict.fromkeys(path for paths in drawn for path in paths))


def inside(graph: ModuleGraph, path: str) -> Flow:
    """The module at `path` opened: its leaf calls, joins and products, from input to output.

    Of a module called several times the first call is shown. Repeated blocks inside are folded
    into a strip. Tensors from outside other than the main input (masks, position embeddings) are
    not drawn. What an opaque module holds is shown without edges. Raises KeyError for a path the graph
    doesn't have; a module that was never called gives an empty flow.
    """
    opened = graph[path]
    folded = _strips(graph)
    if opened.opaque is not None and opened.children:
        return Flow(tuple(_unwired(graph, opened, folded)), ())
    own = folded.get(path)
    if own is not None and not any(graph[block].children for block in own.paths):
        del folded[path]  # a sequence of plain leaves is opened, not folded
    members: dict[str, str] = {}
    for strip in folded.values():
        if is_below(strip.path, path) and strip.path not in members:
            members.update(_everything(graph, strip.paths, strip.id))
    items = {strip.id: strip for strip in folded.values()}
    for node in graph.modules:
        if node is not opened and is_below(node.path, path) and _computes_alone(graph, node):
            items[node.path] = _module_node(graph, node.path, node.path)
            members.update(_everything(graph, (node.path,), members.get(node.path, node.path)))
    return _flow(graph, contract(graph, _calls(graph, opened), members, joins=True), items)


def _unwired(graph: ModuleGraph, node: ModuleNode, folded: dict[str, FlowNode]) -> Iterator[FlowNode]:
    """What is in an opaque module: nobody saw what flows between them."""
    for name in node.children:
        path = join(node.path, name)
        yield folded[path] if path in folded else _module_node(graph, path, path)


@once_per_graph
def overview(graph: ModuleGraph, path: str = "") -> Flow:
    """The model folded: closed cards, and a strip for each container of repeated blocks.

    A card is opened only where such a container, or a list of stages, is to be revealed. Small functions
    aren't drawn. Edges past others are residual: the skips of a U-Net. What is also returned on the way is
    drawn where it is a map. Raises KeyError for a path the graph doesn't have.
    """
    opened = graph[path]
    folded, stages = _strips(graph), staged(graph)
    places = {*folded, *stages}
    nodes: dict[str, FlowNode] = {}
    members: dict[str, str] = {}

    def fold(node: ModuleNode) -> None:
        strip = folded.get(node.path)
        if strip is not None:
            nodes[strip.id] = strip
            members.update(_everything(graph, strip.paths, strip.id))
        reveals = node is opened or any(is_below(place, node.path) for place in places)
        if node.children and reveals:
            for name in node.children:
                child = graph[join(node.path, name)]
                if child.path not in members:
                    fold(child)
        else:
            nodes[node.path] = _module_node(graph, node.path, node.path)
            members.update(_everything(graph, (node.path,), node.path))

    fold(opened)
    return _staged(graph, _flow(graph, contract(graph, _calls(graph, opened), members, joins=False), nodes))


def blocks(graph: ModuleGraph) -> list[str]:
    """The paths of the blocks that the overview draws in strips."""
    return [path for node in overview(graph).nodes for path in node.paths]


def _staged(graph: ModuleGraph, flow: Flow) -> Flow:
    """The flow with what its nodes give, and without what is returned on the way beside the result."""
    shapes, shown = given(graph), drawn(graph)
    last = {node.id: node.paths[-1] if node.paths else node.path for node in flow.nodes if node.path}
    gives = {name: shapes[path] for name, path in last.items() if path in shapes}
    told = said(
        {name: shown[path] for name, path in last.items() if path in shown},
        [(edge.source, edge.target) for edge in flow.edges],
    )
    into: dict[str, set[str | None]] = {}
    for edge in flow.edges:
        into.setdefault(edge.target, set()).add(told.get(edge.source))
    nodes = []
    for node in flow.nodes:
        text = told.get(node.id, "") if node.kind in ("module", "strip") else ""
        # A norm gives what it was given: only what has insides, as a stage has, says it again.
        leaf = node.kind == "module" and not graph[node.path].children
        nothing = leaf and (into.get(node.id) == {text} or not is_map(gives.get(node.id)))
        nodes.append(node if nothing else replace(node, gives=text))
    edges = [
        edge
        for edge in flow.edges
        if not (edge.residual and edge.target == OUTPUT) or is_map(gives.get(edge.source))
    ]
    return Flow(tuple(nodes), tuple(edges))


def _strips(graph: ModuleGraph) -> dict[str, FlowNode]:
    """By container, its strip: its children from the first to the last repeated block."""
    made = {}
    for parent, strip in strips(graph).items():
        title = _title(graph[parent])
        made[parent] = FlowNode(f"{parent}[]", "strip", parent, title, strip.what, strip.paths)
    return made


def _computes_alone(graph: ModuleGraph, node: ModuleNode) -> bool:
    """Whether `node` has weights and its children have none: experts with an activation."""
    own = any(tensor.kind == "parameter" for tensor in node.tensors)
    below = _everything(graph, (node.path,), "") if own and node.children else {}
    return len(below) > 1 and not any(graph[path].tensors for path in below if path != node.path)


def _everything(graph: ModuleGraph, paths: tuple[str, ...], item: str) -> dict[str, str]:
    """`item` for every module at or below `paths`."""
    made: dict[str, str] = {}
    waiting = list(paths)
    for path in waiting:  # grows while it is read
        made[path] = item
        waiting.extend(join(path, name) for name in graph[path].children)
    return made


def _calls(graph: ModuleGraph, node: ModuleNode) -> list[CallNode]:
    """The calls of the first run of `node`; of a module that only holds others, all below it."""
    for span in graph.spans:
        if span.module == node.path:
            return list(graph.calls[span.start : span.stop])
    below = [call for call in graph.calls if is_below(call.module, node.path)]
    once = any(call.module == node.path for call in below)  # a leaf, or opaque
    return below[:1] if once else below


def _flow(graph: ModuleGraph, made: Contraction, items: dict[str, FlowNode]) -> Flow:
    nodes = []
    for name, call in made.visible.items():
        if name in items:
            nodes.append(items[name])
        elif call is None:
            kind: Kind = "input" if name == INPUT else "output"
            nodes.append(FlowNode(name, kind, "", name, ""))
        elif call.function is None:
            nodes.append(_module_node(graph, name, call.module))
        else:
            nodes.append(_function_node(name, call, joined=name in made.joins))
    edges = tuple(FlowEdge(source, target, residual) for source, target, residual in made.edges)
    return Flow(tuple(nodes), edges)


def _title(node: ModuleNode) -> str:
    return node.name or node.class_name


def _module_node(graph: ModuleGraph, name: str, path: str) -> FlowNode:
    node = graph[path]
    counted = {
        identity(graph, tensor): tensor.count
        for other in graph.modules
        if is_below(other.path, path)
        for tensor in other.tensors
        if tensor.kind == "parameter"
    }
    total = sum(counted.values())
    text = short(total) if total else node.class_name
    held = experts(node)
    return FlowNode(name, "module", path, _title(node), f"{held} experts · {text}" if held else text)


def _function_node(name: str, call: CallNode, joined: bool) -> FlowNode:
    function = (call.function or "").rstrip("_")
    if function in _ATTENTION:
        return FlowNode(name, "function", call.module, "attention", _ATTENTION[function])
    title = _SIGNS.get(function, function)
    return FlowNode(name, "join" if joined else "function", call.module, title, "")
