"""Alike blocks: the structural hash of a module, and the runs of equal hashes in containers."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType
from weakref import ProxyTypes

from torch import nn

from graph.configs import is_config_class
from graph.layouts import layout_of
from graph.nodes import ModuleGraph, Scalar
from graph.tree import Site, bottom_up, children, join, own_tensors, shape_of, unwrapped

# Names under which models store where a module sits; two blocks that differ only here are alike.
PLACES = frozenset(
    {"block_id", "block_idx", "block_index", "depth_idx", "idx", "index", "layer_id", "layer_idx"}
    | {"layer_index", "layer_num", "layer_number", "stage_idx"}
)

# Stochastic depth grows from block to block, and acts in training only.
SCHEDULES = frozenset({"drop_path", "drop_path_rate", "drop_prob"})

_LEFT_OUT = PLACES | SCHEDULES


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
) -> dict[nn.Module, str]:
    """The structural hash of every module of the tree.

    `described` are their `attributes`, and `places` the sites of the model, if these are known.
    """
    known: dict[nn.Module, str] = {}
    for below in bottom_up(model, known, places):
        known[below] = _structure(below, attributes(below) if described is None else described[below], known)
    return known


def _structure(module: nn.Module, described: Attributes, known: Mapping[nn.Module, str]) -> str:
    cls = type(module)
    said = [cls.__module__, cls.__qualname__]
    said += [f"{name}={value!r}" for name, value in described if name not in _LEFT_OUT]
    if module._parameters or module._buffers:
        said += [f"{kind} {name} {shape_of(t)} {t.dtype}" for name, t, kind in own_tensors(module)]
    if module._modules:
        # A child that isn't known yet is an ancestor: the module holds what holds it.
        said += [f"{name}:{known.get(child, 'cycle')}" for name, child in children(module)]
    return hashlib.sha256("\n".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def attributes(module: nn.Module) -> Attributes:
    """Scalars of the module's `__dict__` by name, sorted: numbers, texts, flags, None.

    Tuples of them (`stride`) are written as text, plain functions (`activation`) by their name,
    and numbers that JSON has no word for (inf, nan) as text. Private names and `training` are
    left out.
    """
    held, found = module.__dict__, []
    for name in layout_of(module).public:
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
