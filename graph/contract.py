"""Contraction of calls: which nodes stay visible, and what connects them once the rest is gone."""

from dataclasses import dataclass, field
from math import prod

from torch import nn

from graph.nodes import CallNode, Edge, ModuleGraph

INPUT, OUTPUT = "input", "output"

_SHAPE_ONLY = ("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like",
               "new_zeros", "new_ones", "new_full", "new_empty")  # fmt: skip
# Drawn even where they cost nothing we count; whatever has MACs is drawn anyway.
_SHOWN = ("scaled_dot_product_attention", "flex_attention", "multi_head_attention_forward",
          "softmax", "log_softmax")  # fmt: skip
_ADDS = ("add", "add_", "iadd", "sub", "sub_", "isub")
_RAW = "ids and flags"
_MOST_FOLDED = 300  # ways are looked for between every two of them


@dataclass(slots=True)
class Contraction:
    """Visible nodes by id (None for input and output), edges (source, target, residual), joins."""

    visible: dict[str, CallNode | None] = field(default_factory=dict)
    edges: list[tuple[str, str, bool]] = field(default_factory=list)
    joins: set[str] = field(default_factory=set)


def contract(graph: ModuleGraph, calls: list[CallNode], members: dict[str, str], joins: bool) -> Contraction:
    """Contract `calls`.

    `members` maps module paths to the folded item (strip or card) they belong to; calls there are
    that item. `joins` says whether functions that join two visible nodes are drawn. Order follows
    the calls; edges go forward only, so that a block called twice makes no cycle.
    """
    return _Contractor(graph, calls, members, joins).run()


class _Contractor:
    def __init__(
        self, graph: ModuleGraph, calls: list[CallNode], members: dict[str, str], joins: bool
    ) -> None:
        self.graph, self.calls, self.members, self.joins = graph, calls, members, joins
        ids = {call.id for call in calls}
        self.into: dict[int, list[Edge]] = {call.id: [] for call in calls}
        self.leaving: list[Edge] = []
        for edge in graph.edges:
            if edge.target in ids:
                self.into[edge.target].append(edge)
            elif edge.source in ids:
                self.leaving.append(edge)
        self.ids = ids
        self.tokens: dict[int, tuple[str, ...]] = {}
        self.made = Contraction()
        self.links: dict[tuple[str, str], None] = {}
        self.uses: dict[str, int] = {}
        self.rows: dict[tuple[str, tuple[str, ...]] | None, str] = {}
        self.folded = {item for path, item in members.items() if item not in graph.by_path}
        self.holding = _holding(graph)
        self.main = self.main_source()

    def main_source(self) -> int | None:
        """The call outside whose tensor is the main input: the first to reach a module.

        What only functions use (masks, position embeddings) is a side input.
        """
        reached: dict[int, int] = {}
        for call in self.calls:
            for edge in self.into[call.id]:
                source = edge.source if edge.source not in self.ids else reached.get(edge.source)
                if source is None:
                    continue
                if call.function is None and call.module in self.holding:
                    return source
                reached.setdefault(call.id, source)
        return next(iter(reached.values()), None)

    def run(self) -> Contraction:
        if not self.calls:
            return self.made
        self.made.visible[INPUT] = None
        for call in self.calls:
            before = self.before(call)
            known = tuple(token for token in before if token != _RAW)
            name = self.name_if_visible(call, known)
            if name is None:
                # Ids and flags alone stay what they are; beside data they only steer it (masks).
                self.tokens[call.id] = known or before
                continue
            self.tokens[call.id] = (name,)
            self.made.visible.setdefault(name, call)
            sources = known if call.function else [INPUT if token == _RAW else token for token in before]
            for source in sources or self.from_outside(call):
                self.link(source, name)
        self.made.visible[OUTPUT] = None
        for edge in self.leaving:
            for source in self.tokens[edge.source]:  # ids that leave as they came went past everything drawn
                self.link(INPUT if source == _RAW else source, OUTPUT)
        for end in (INPUT, OUTPUT):
            if not any(end in pair for pair in self.links):
                del self.made.visible[end]
        self.made.edges = [(s, t, residual) for (s, t), residual in self.residuals().items()]
        return self.made

    def before(self, call: CallNode) -> tuple[str, ...]:
        """Visible nodes whose data reaches `call`, in order of its arguments."""
        if call.function in _SHAPE_ONLY:
            return ()
        found: dict[str, None] = {}
        for edge in self.into[call.id]:
            if edge.source in self.ids:
                found.update(dict.fromkeys(self.tokens[edge.source]))
            elif edge.source == self.main:
                found[INPUT if edge.source >= 0 or _is_data(edge) else _RAW] = None
        return tuple(found)

    def from_outside(self, call: CallNode) -> tuple[str, ...]:
        """The input, for weights that are fed from outside alone: an encoder's states in cross-attention."""
        fed = call.function is None and call.module in self.holding
        return (INPUT,) if fed and any(map(_is_data, self.into[call.id])) else ()

    def name_if_visible(self, call: CallNode, before: tuple[str, ...]) -> str | None:
        item = self.members.get(call.module)
        if item is not None:
            folded_leaf = item == call.module and call.function is None
            return None if folded_leaf and self.passes(call) else item
        if call.function is None:
            return None if self.passes(call) else self.numbered(call.module)
        heavy = call.macs > 0 or (self.joins and call.function in _SHOWN)
        if before and heavy:
            return self.numbered(f"{call.module}:{call.function}")
        if self.joins and len(before) > 1:
            joined = f"{call.module}:{call.function}"
            # Each expert is weighted in turn: of a row of them that is one thing to see.
            row = (joined, before) if any(token in self.folded for token in before) else None
            name = self.rows.get(row) or self.numbered(joined)
            if row is not None:
                self.rows[row] = name
            self.made.joins.add(name)
            return name
        return None

    def passes(self, call: CallNode) -> bool:
        """Whether a leaf call is let through: no parameters, one input, nothing resized.

        Pooling and the like, torch's own modules that change the number of elements, are drawn.
        """
        node = self.graph.by_path.get(call.module)
        if node is None or node.opaque or call.module in self.holding:
            return False
        if len({edge.source for edge in self.into[call.id]}) > 1:
            return False
        sizes = {prod(spec.shape) for spec in (*call.inputs[:1], *call.outputs[:1])}
        return not (hasattr(nn, node.class_name) and len(sizes) > 1)

    def numbered(self, name: str) -> str:
        count = self.uses[name] = self.uses.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def link(self, source: str, target: str) -> None:
        order = list(self.made.visible)
        if source != target and order.index(source) < order.index(target):
            self.links[source, target] = None

    def residuals(self) -> dict[tuple[str, str], bool]:
        """Each link, and whether it leads to something that is also reached by a longer way.

        Inside a block that is a residual only where it is added; among folded parts any such link is a skip.
        """
        import networkx as nx

        net = nx.DiGraph(list(self.links))
        folded = not self.joins and len(net) <= _MOST_FOLDED
        flags = {}
        for source, target in self.links:
            others = [other for other, _ in net.in_edges(target) if other != source]
            adds = (call := self.made.visible[target]) is not None and call.function in _ADDS
            flags[source, target] = (adds or folded) and any(nx.has_path(net, source, to) for to in others)
        return flags


def _holding(graph: ModuleGraph) -> set[str]:
    """Paths of modules that have parameters, or hold modules that do (attention's `out_proj`)."""
    found: set[str] = set()
    for node in graph.modules:
        if any(tensor.kind == "parameter" for tensor in node.tensors):
            path = node.path
            while path and path not in found:
                found.add(path)
                path = path.rpartition(".")[0]
            found.add("")
    return found


def _is_data(edge: Edge) -> bool:
    return edge.tensor.dtype.startswith(("float", "bfloat", "complex"))
