"""Matching selectors against a tree: of a ModuleGraph or of a live module."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from graph.nodes import ModuleGraph
from graph.paths import Branch, Deep, Index, Name, Segment, parse
from graph.records import quickly_made
from graph.tree import children, join, own_tensors, sites, unwrapped, walk


class TreeNode(Protocol):
    """What a selector needs to know of a module; `children` are names. A ModuleNode is one."""

    @property
    def path(self) -> str: ...
    @property
    def class_name(self) -> str: ...
    @property
    def children(self) -> tuple[str, ...]: ...


@quickly_made
@dataclass(frozen=True, slots=True)
class Entry:
    """A tree node made from a live module or a tensor."""

    path: str
    class_name: str
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """A pattern of paths, read once; see `graph.paths` for its grammar."""

    text: str
    branches: tuple[Branch, ...]

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """The selector `text` says; raises SelectorError with the position of the trouble."""
        return cls(text, parse(text))

    def match(self, tree: Sequence[TreeNode]) -> tuple[str, ...]:
        """Paths that match, in the order of the tree, each once.

        An index past the end of its container matches nothing; the caller knows how many paths
        it wanted and makes that an error.
        """
        nodes = {node.path: node for node in tree}
        found: set[str] = set()
        for branch in self.branches:
            found.update(_match(branch, nodes))
        return tuple(path for path in nodes if path in found)


def select(selector: str | Selector, source: ModuleGraph | nn.Module) -> tuple[str, ...]:
    """Paths of the modules `selector` matches, in the order of the tree.

    Raises SelectorError where `selector` is text that can't be read.
    """
    read = _read(selector)
    if isinstance(source, nn.Module) and len(read.branches) == 1:
        branch = read.branches[0]
        if not any(isinstance(segment, Deep) for segment in branch.segments):
            return tuple(_match(branch, _Live(source)))  # what it matches is found in the order of the tree
        found = _anywhere(branch, source)
        if found is not None:
            return found
    return read.match(module_tree(source))


def _anywhere(branch: Branch, model: nn.Module) -> tuple[str, ...] | None:
    """What `**.name` matches; None for any other pattern, and where two modules have one path."""
    if len(branch.segments) != 2:
        return None
    deep, last = branch.segments
    if not (isinstance(deep, Deep) and isinstance(last, Name)):
        return None
    places, wanted = sites(model), branch.class_name
    fits: dict[str, bool] = {}
    found = []
    for path, module, around, _ in places[1:]:
        name = path[len(around) + 1 :] if around else path
        fit = fits.get(name)
        if fit is None:
            fit = fits[name] = last.pattern.fullmatch(name) is not None
        if fit and (wanted is None or wanted.fullmatch(type(module).__name__)):
            found.append(path)
    return tuple(found) if len({site[0] for site in places}) == len(places) else None


class _Live(Mapping[str, TreeNode]):
    """The tree of a live module by path, of which no more is looked at than is asked for."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.known: dict[str, TreeNode] = {}
        self.modules: dict[str, tuple[nn.Module, frozenset[int]]] = {"": (unwrapped(model), frozenset())}

    def __getitem__(self, path: str) -> TreeNode:
        """The node at `path`, if the one around it was asked for before."""
        if path not in self.known:
            module, above = self.modules[path]
            self.known[path] = Entry(path, type(module).__name__, _children(module))
            around = above | {id(module)}
            for name, child in children(module):
                if id(child) not in around:  # a module that holds what holds it has no end
                    self.modules[join(path, name)] = child, around
        return self.known[path]

    def __iter__(self) -> Iterator[str]:
        return (path for path, _ in walk(self.model))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def select_tensors(selector: str | Selector, source: ModuleGraph | nn.Module) -> tuple[str, ...]:
    """Paths of the parameters and buffers `selector` matches, in the order of the tree.

    The last segment matches the tensor's name; a class (`**.weight:Linear`) is that of the module
    which holds it. Raises SelectorError.
    """
    tree, tensors = _tensor_tree(source)
    return tuple(path for path in _read(selector).match(tree) if path in tensors)


def module_tree(source: ModuleGraph | nn.Module) -> Sequence[TreeNode]:
    """The tree of `source` in the order in which torch registers modules."""
    if isinstance(source, ModuleGraph):
        return source.modules
    return [Entry(path, type(module).__name__, _children(module)) for path, module in walk(source)]


def _children(module: nn.Module) -> tuple[str, ...]:
    if not module._modules:  # most
        return ()
    return tuple([name for name, child in module._modules.items() if child is not None])


def _tensor_tree(source: ModuleGraph | nn.Module) -> tuple[list[Entry], set[str]]:
    tree: list[Entry] = []
    tensors: set[str] = set()
    if isinstance(source, ModuleGraph):
        owners = [
            (node.path, node.class_name, node.children, [t.path.rpartition(".")[2] for t in node.tensors])
            for node in source.modules
        ]
    else:
        owners = [
            (path, type(module).__name__, _children(module), [name for name, _, _ in own_tensors(module)])
            for path, module in walk(source)
        ]
    for path, class_name, below, names in owners:
        tree.append(Entry(path, class_name, (*names, *below)))
        for name in names:
            tree.append(Entry(join(path, name), class_name, ()))
            tensors.add(join(path, name))
    return tree, tensors


def _read(selector: str | Selector) -> Selector:
    return selector if isinstance(selector, Selector) else Selector.parse(selector)


def _match(branch: Branch, nodes: Mapping[str, TreeNode]) -> list[str]:
    here: dict[str, None] = {"": None}
    for segment in branch.segments:
        there: dict[str, None] = {}
        for path in here:
            there.update(dict.fromkeys(_step(path, segment, nodes)))
        here = there
    wanted = branch.class_name
    return [p for p in here if p in nodes and (wanted is None or wanted.fullmatch(nodes[p].class_name))]


def _step(path: str, segment: Segment, nodes: Mapping[str, TreeNode]) -> list[str]:
    node = nodes.get(path)
    if node is None:
        return []
    if isinstance(segment, Deep):
        below = [path]
        for known in below:  # grows while it is read: breadth first
            node = nodes.get(known)
            if node is not None and node.children:
                prefix = f"{known}." if known else ""
                below.extend([prefix + name for name in node.children])
        return below
    if not node.children:
        return []
    if isinstance(segment, Index):
        # Only containers numbered by torch have an order that an index may mean.
        if not all(name.isdigit() for name in node.children):
            return []
        if isinstance(segment.index, slice):
            return [join(path, name) for name in node.children[segment.index]]
        inside = -len(node.children) <= segment.index < len(node.children)
        return [join(path, node.children[segment.index])] if inside else []
    fits = segment.pattern.fullmatch
    return [join(path, name) for name in node.children if fits(name)]
