"""What is different between two graphs, as a person would say it.

    diff(before, after)         # two states of a session, or two models opened separately

Modules are paired first (`graph.diff.align`: by origin, path, structure), so that after removing block 7 of
12 the difference is "7 removed, 8 to 11 moved up". Compared are modules, their attributes, tensors and
ties, and values where digests are given; calls and edges are not.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from graph.costs import costs, identity
from graph.diff.align import Alignment, align, is_edited
from graph.diff.retied import Retied, retied
from graph.diff.sides import Digests
from graph.nodes import ModuleGraph, ModuleNode, ParameterNode, Scalar
from graph.repeats import PLACES
from graph.tree import join

SCHEMA = 1
# Where a module sits, where a model came from, how it is run: nothing that it computes.
NOT_COMPARED = PLACES | {"gradient_checkpointing", "loss_type", "name_or_path"}


@dataclass(frozen=True, slots=True)
class Part:
    """A module that only one graph has, with all below it that has no partner either.

    `parameters` counts elements, tied ones once; `size_bytes` is of parameters and buffers; both
    leave out what is below but has a partner. `modules` is how many modules these are.
    `alike` is greater than 1 where this is only one of that many alike items of a list and nothing
    told which (no origins, no digests): then the last ones are named.
    """

    path: str
    class_name: str
    modules: int
    parameters: int
    size_bytes: int
    alike: int = 1


@dataclass(frozen=True, slots=True)
class Moved:
    """The same module at another path; what is below moved with it and isn't listed again."""

    before: str
    after: str
    class_name: str


@dataclass(frozen=True, slots=True)
class Resized:
    """A tensor of a module in both graphs with another shape, dtype or kind; None where there is none.

    The nodes' `tie` is left out (None).
    """

    before: ParameterNode | None
    after: ParameterNode | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A module in both graphs with another class or other attributes.

    `attributes_before` and `attributes_after` hold those that differ; what a side doesn't have is
    missing there. `order` is true if its children are the same but in another order.
    """

    before: str
    after: str
    class_before: str
    class_after: str
    attributes_before: tuple[tuple[str, Scalar], ...]
    attributes_after: tuple[tuple[str, Scalar], ...]
    order: bool = False


@dataclass(frozen=True, slots=True)
class Revalued:
    """A module in both graphs some of whose own tensors have the same form and other values."""

    before: str
    after: str
    tensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums of a whole graph: elements and bytes, tied ones once; MACs over the example inputs."""

    parameters: int
    size_bytes: int
    macs: int


@dataclass(frozen=True, slots=True)
class GraphDiff:
    """The difference between two graphs, entries in the order of the tree; false if there is none.

    The figures don't count: models that are alike can be traced over other inputs.
    """

    removed: tuple[Part, ...]
    added: tuple[Part, ...]
    moved: tuple[Moved, ...]
    retied: tuple[Retied, ...]
    resized: tuple[Resized, ...]
    changed: tuple[Changed, ...]
    revalued: tuple[Revalued, ...]
    before: Figures
    after: Figures
    values_compared: bool = False

    def __bool__(self) -> bool:
        entries = (self.removed, self.added, self.moved, self.retied)
        return any(map(bool, (*entries, self.resized, self.changed, self.revalued)))


def diff(
    before: ModuleGraph,
    after: ModuleGraph,
    *,
    digests: tuple[Digests, Digests] | None = None,
    same_base: bool | None = None,
) -> GraphDiff:
    """What became of `before` in `after`.

    `digests`, one mapping from tensor paths to texts for each graph, let alike blocks be told apart by
    what they hold, and values be compared; a tensor without a digest on both sides isn't. `same_base`:
    both are states of one model, so that origins say which module is which; by default where an origin
    shows that a graph was edited (`graph.align.align`). Pass False for two models opened separately,
    which may both have been edited.
    """
    trusted = is_edited(before) or is_edited(after) if same_base is None else same_base
    found = align(before, after, digests=digests, same_base=trusted)
    told_apart = trusted or digests is not None
    pairs = [(before[one], after[two]) for one, two in found.to_after.items()]
    order = {node.path: place for place, node in enumerate(before.modules)}
    pairs.sort(key=lambda pair: order[pair[0].path])
    return GraphDiff(
        removed=tuple(_parts(before, found.to_after, told_apart)),
        added=tuple(_parts(after, found.to_before, told_apart)),
        moved=tuple(_moved(pairs, found)),
        retied=tuple(retied(before, after, found)),
        resized=tuple(_resized(pairs)),
        changed=tuple(_changed(pairs, found)),
        revalued=tuple(_revalued(pairs, digests) if digests else ()),
        before=_figures(before),
        after=_figures(after),
        values_compared=digests is not None,
    )


def diff_to_json(difference: GraphDiff) -> dict[str, Any]:
    """The difference as plain dictionaries, lists, texts and numbers."""
    return {"schema": SCHEMA, "different": bool(difference), **_plain(asdict(difference))}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _figures(graph: ModuleGraph) -> Figures:
    whole = costs(graph)
    return Figures(whole.parameters, whole.size_bytes, whole.macs)


def _parts(graph: ModuleGraph, paired: Mapping[str, str], told_apart: bool) -> Iterator[Part]:
    """The topmost modules without a partner, in the order of the tree."""
    tops: dict[str, list[ModuleNode]] = {}
    top_of: dict[str, str] = {}
    for node in graph.modules:
        if node.path not in paired:
            above = node.path.rpartition(".")[0]
            top_of[node.path] = top_of.get(above, node.path) if node.path else ""
            tops.setdefault(top_of[node.path], []).append(node)
    alike = {} if told_apart else _alike(graph, tops, paired)
    for path, nodes in tops.items():
        tensors = {identity(graph, tensor): tensor for node in nodes for tensor in node.tensors}
        yield Part(
            path=path,
            class_name=nodes[0].class_name,
            modules=len(nodes),
            parameters=sum(tensor.count for tensor in tensors.values() if tensor.kind == "parameter"),
            size_bytes=sum(tensor.size_bytes for tensor in tensors.values()),
            alike=alike.get(path, 1),
        )


def _alike(graph: ModuleGraph, tops: Mapping[str, Any], paired: Mapping[str, str]) -> dict[str, int]:
    """By path of an item without a partner, how many items look like it, if one of them has a partner."""
    found: dict[str, int] = {}
    for parent in dict.fromkeys(path.rpartition(".")[0] for path in tops if path):
        if not graph[parent].container:
            continue
        children = [join(parent, name) for name in graph[parent].children]
        children = [path for path in children if path in graph]
        every = Counter(graph[path].structure for path in children)
        kept = {graph[path].structure for path in children if path in paired}
        found |= {
            path: every[graph[path].structure]
            for path in children
            if path in tops and graph[path].structure in kept
        }
    return found


_NodePairs = list[tuple[ModuleNode, ModuleNode]]


def _moved(pairs: _NodePairs, found: Alignment) -> Iterator[Moved]:
    for one, two in pairs:
        above, here = one.path.rpartition(".")[0], two.path.rpartition(".")[0]
        with_parent = one.name == two.name and found.to_after.get(above) == here
        if one.path != two.path and not (one.path and two.path and with_parent):
            yield Moved(one.path, two.path, two.class_name)


def _resized(pairs: _NodePairs) -> Iterator[Resized]:
    for one, two in pairs:
        mine = {_own_name(tensor): tensor for tensor in one.tensors}
        theirs = {_own_name(tensor): tensor for tensor in two.tensors}
        for name in mine | theirs:
            before, after = mine.get(name), theirs.get(name)
            if before is None or after is None or _form(before) != _form(after):
                yield Resized(before and replace(before, tie=None), after and replace(after, tie=None))


def _changed(pairs: _NodePairs, found: Alignment) -> Iterator[Changed]:
    for one, two in pairs:
        mine = {name: value for name, value in one.attributes if name not in NOT_COMPARED}
        theirs = {name: value for name, value in two.attributes if name not in NOT_COMPARED}
        same = {
            name
            for name in mine.keys() & theirs.keys()
            if (type(mine[name]), mine[name]) == (type(theirs[name]), theirs[name])  # True is not 1
        }
        order = one.container and _is_reordered(one, two, found)
        if order or one.class_name != two.class_name or len(same) < len(mine | theirs):
            yield Changed(
                before=one.path,
                after=two.path,
                class_before=one.class_name,
                class_after=two.class_name,
                attributes_before=tuple(item for item in mine.items() if item[0] not in same),
                attributes_after=tuple(item for item in theirs.items() if item[0] not in same),
                order=order,
            )


def _is_reordered(one: ModuleNode, two: ModuleNode, found: Alignment) -> bool:
    """Whether children that kept their names follow each other differently: no path tells."""
    kept = [name for name in one.children if found.to_after.get(join(one.path, name)) == join(two.path, name)]
    names = set(kept)
    return kept != [name for name in two.children if name in names]


def _revalued(pairs: _NodePairs, digests: tuple[Digests, Digests]) -> Iterator[Revalued]:
    for one, two in pairs:
        theirs = {_own_name(tensor): tensor for tensor in two.tensors}
        names = []
        for tensor in one.tensors:
            other = theirs.get(_own_name(tensor))
            if other is not None and _form(tensor) == _form(other):
                values = digests[0].get(tensor.path), digests[1].get(other.path)
                if None not in values and values[0] != values[1]:
                    names.append(_own_name(tensor))
        if names:
            yield Revalued(one.path, two.path, tuple(names))


def _own_name(tensor: ParameterNode) -> str:
    return tensor.path.rpartition(".")[2]


def _form(tensor: ParameterNode) -> tuple[object, ...]:
    return tensor.shape, tensor.dtype, tensor.kind
