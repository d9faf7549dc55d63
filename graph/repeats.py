"""Alike blocks: the structural hash of a module, and the runs of equal hashes in containers."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType
from typing import Any
from weakref import ProxyTypes

from torch import nn

from graph.configs import is_config_class
from graph.layouts import Layout, layout_of
from graph.nodes import ModuleGraph, Scalar
from graph.tree import Facts, Site, bottom_up, children, join, tensor_facts, unwrapped

# Names under which models store where a module sits; two blocks that differ only here are alike.
PLACES = frozenset(
    {"block_id", "block_idx", "block_index", "depth_idx", "idx", "index", "layer_id", "layer_idx"}
    | {"layer_index", "layer_num", "layer_number", "stage_idx"}
)

# Stochastic depth grows from block to block, and acts in training only.
SCHEDULES = frozenset({"drop_path", "drop_path_rate", "drop_prob"})

_LEFT_OUT = PLACES | SCHEDULES


def drops(module: nn.Module) -> bool:
    """Whether `module` itself is what leaves out samples by such a schedule."""
    return type(module).__name__.endswith(("DropPath", "StochasticDepth"))


@dataclass(frozen=True, slots=True)
class Run:
    """Children of one container that are alike, in the order of the container.

    They need not be neighbours: where every fourth block differs there are two runs.
    """

    parent: str
    paths: tuple[str, ...]
    structure: str


def runs(graph: ModuleGraph) -> tuple[Run, ...]:
    """Groups of two or more alike children, per container (list or sequence), in tree order."""
    return tuple(_runs(graph))


def _runs(graph: ModuleGraph) -> Iterator[Run]:
    for node in graph.modules:
        if not node.container:
            continue
        alike: dict[str, list[str]] = {}
        for name in node.children:
            path = join(node.path, name)
            if path in graph:
                alike.setdefault(graph[path].structure, []).append(path)
        for structure, paths in alike.items():
            if len(paths) > 1:
                yield Run(node.path, tuple(paths), structure)


Attributes = tuple[tuple[str, Scalar], ...]


def structure(module: nn.Module) -> str:
    """A hash equal for modules that are alike: class, attributes, tensors, children by name.

    16 hex digits. Left out: values of tensors, training flags, what says where the module sits
    (`layer_idx`), and schedules over depth (`drop_prob`).
    """
    return structures(module)[unwrapped(module)]


def structures(
    model: nn.Module,
    described: Mapping[nn.Module, Attributes] | None = None,
    places: Sequence[Site] | None = None,
    held: Mapping[nn.Module, Sequence[Facts]] | None = None,
) -> dict[nn.Module, str]:
    """The structural hash of every module of the tree.

    `described` are their `attributes`, `places` the sites of the model, and `held` the facts of the tensors
    that they hold, if these are known.
    """
    known: dict[nn.Module, str] = {}
    for below in bottom_up(model, known, places):
        said = attributes(below) if described is None else described[below]
        known[below] = _structure(below, said, tensor_facts(below) if held is None else held[below], known)
    return known


def _structure(
    module: nn.Module, described: Attributes, tensors: Sequence[Facts], known: Mapping[nn.Module, str]
) -> str:
    # A child that isn't known yet is an ancestor: the module holds what holds it.
    below = [(name, known.get(child, "cycle")) for name, child in children(module)] if module._modules else ()
    if _descriptions.get(id(described)) is not described:
        return _hashed(type(module), described, tensors, below)
    key = type(module), id(described), *tensors, *below
    found = _hashes.get(key)
    if found is None or found[0] is not described:
        if len(_hashes) >= MOST:
            _hashes.clear()
        found = _hashes[key] = described, _hashed(type(module), described, tensors, below)
    return found[1]


def _hashed(
    cls: type, described: Attributes, tensors: Iterable[Facts], below: Iterable[tuple[str, str]]
) -> str:
    said = [cls.__module__, cls.__qualname__]
    said += [f"{name}={value!r}" for name, value in described if name not in _LEFT_OUT]
    said += [f"{kind} {name} {shape} {dtype}" for kind, name, shape, dtype, _ in tensors]
    said += [f"{name}:{child}" for name, child in below]
    return hashlib.sha256("\n".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def attributes(module: nn.Module, layout: Layout | None = None) -> Attributes:
    """Scalars of the module's `__dict__` by name, sorted: numbers, texts, flags, None.

    Tuples of them (`stride`) are written as text, plain functions (`activation`) by their name,
    and numbers that JSON has no word for (inf, nan) as text. Private names and `training` are
    left out. `layout` is that of the module, if known.
    """
    held, layout = module.__dict__, layout_of(module) if layout is None else layout
    reader = _readers.get(id(layout))
    if reader is None or reader.layout is not layout:
        if len(_readers) >= MOST:
            _readers.clear()
        reader = _readers[id(layout)] = _reader(layout, held)
    if not reader.simple:
        return _described(held, layout.public)
    key = id(layout), reader.values(held), *[repr(held[name]) for name in reader.floats]
    found = _known.get(key)
    if found is None or found[0] is not layout:
        if len(_known) >= MOST:
            _known.clear()
            _descriptions.clear()
        found = _known[key] = layout, _described(held, reader.names)
        _descriptions[id(found[1])] = found[1]
    return found[1]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Of modules with a layout the names of scalars; where it is `simple`, their `values` say what they are.

    Those of `floats` are told by how they are written: 0.0 and -0.0 are equal.
    """

    layout: Layout
    simple: bool
    names: tuple[str, ...]
    floats: tuple[str, ...]
    values: Callable[[dict[str, Any]], Any]


MOST = 10_000
"""So many descriptions are remembered; then all are forgotten."""

_readers: dict[int, _Reader] = {}
_known: dict[Any, tuple[Layout, Attributes]] = {}
_descriptions: dict[int, Attributes] = {}
_hashes: dict[Any, tuple[Attributes, str]] = {}

_WORDS = frozenset({int, str, bool, type(None)})
_PERHAPS = (float, bool, int, str, FunctionType, BuiltinFunctionType, list, tuple)


def _reader(layout: Layout, held: Mapping[str, Any]) -> _Reader:
    kinds = {name: type(held[name]) for name in layout.public}
    simple = all(kind in _WORDS or kind is float or not issubclass(kind, _PERHAPS) for kind in kinds.values())
    names = tuple(name for name, kind in kinds.items() if issubclass(kind, (*_PERHAPS, type(None))))
    floats = tuple(name for name in names if kinds[name] is float)
    others = [name for name in names if kinds[name] is not float]
    return _Reader(layout, simple, names, floats, itemgetter(*others) if others else _nothing)


def _nothing(_: Mapping[str, Any]) -> None:
    """The values of a module without any."""


def _described(held: Mapping[str, Any], names: Iterable[str]) -> Attributes:
    found = []
    for name in names:
        value = held[name]
        scalar = _scalar(value)
        if scalar is not None or value is None:
            found.append((name, scalar))
    return tuple(found)


def _scalar(value: object) -> Scalar:
    kind = type(value)
    if kind is int or kind is str or kind is bool:
        return value  # type: ignore[return-value]
    # A dead proxy answers to nothing, and a config takes its time.
    if kind in ProxyTypes or is_config_class(kind):
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, FunctionType | BuiltinFunctionType):
        return value.__name__
    if isinstance(value, list | tuple) and len(value) <= 8 and all(map(_is_plain, value)):
        return str(tuple(value))
    return None


def _is_plain(item: object) -> bool:
    return item is None or isinstance(item, bool | int | float | str)
