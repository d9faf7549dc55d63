"""Ties of a live module: what sits at several paths, read by identity and by storage.

Read from the tree, never from a trace: a tie exists whether or not both places are called.
"""

from collections import defaultdict
from collections.abc import Hashable
from typing import Literal

import torch
from torch import nn

from graph.nodes import Tie
from graph.tree import is_lazy, join, own_tensors, sites, walk

BEING_COPIED = "_being_copied"
"""Attribute of a tensor that shares memory only until its copy is made: it is tied to nothing."""

_Found = tuple[Literal["parameter", "module", "storage"], tuple[str, ...], str]  # the last: where to list it


def ties(model: nn.Module) -> tuple[Tie, ...]:
    """Every tie of `model`, ordered by first path; `Tie.index` is its place in the result.

    A *module* tie is one module object at several paths; a *parameter* tie one parameter or
    buffer object; a *storage* tie different tensors whose elements overlap in memory (neighbours
    in one buffer, such as the halves of a fused weight, aren't tied). What merely
    follows from a reused module around it isn't listed again. Tensors on meta have no storage.
    """
    order = {path: place for place, (path, _) in enumerate(walk(model))}
    found = _modules(model) + _tensors(model) + _storages(model)
    rank = {"module": 0, "parameter": 1, "storage": 2}

    def place(tie: _Found) -> tuple[int, int, str]:
        kind, paths, owner = tie
        return order[owner], rank[kind], paths[0]

    return tuple(Tie(i, kind, paths) for i, (kind, paths, _) in enumerate(sorted(found, key=place)))


def tie_of_tensor(found: tuple[Tie, ...]) -> dict[str, int]:
    """Tie index by tensor path for tensors named by a parameter or storage tie; the first wins."""
    indices: dict[str, int] = {}
    for kind in ("parameter", "storage"):
        for tie in found:
            if tie.kind == kind:
                for path in tie.paths:
                    indices.setdefault(path, tie.index)
    return indices


def tie_of_module(found: tuple[Tie, ...]) -> dict[str, int]:
    """Tie index by module path."""
    return {path: tie.index for tie in found if tie.kind == "module" for path in tie.paths}


def _modules(model: nn.Module) -> list[_Found]:
    paths: dict[int, list[str]] = defaultdict(list)
    places: dict[int, set[Hashable]] = defaultdict(set)
    for path, module, around, parent in sites(model):
        paths[id(module)].append(path)
        places[id(module)].add((id(parent), path[len(around) :]))
    # One slot of one parent seen twice only says that the parent is reused.
    return [("module", tuple(paths[key]), paths[key][0]) for key in paths if len(places[key]) > 1]


def _tensors(model: nn.Module) -> list[_Found]:
    paths: dict[int, list[str]] = defaultdict(list)
    places: dict[int, set[Hashable]] = defaultdict(set)
    owners: dict[int, str] = {}
    for path, module in walk(model):
        for name, tensor, _ in own_tensors(module):
            paths[id(tensor)].append(join(path, name))
            places[id(tensor)].add((id(module), name))
            owners.setdefault(id(tensor), path)
    return [("parameter", tuple(paths[key]), owners[key]) for key in paths if len(places[key]) > 1]


def _storages(model: nn.Module) -> list[_Found]:
    """Groups of different tensors whose extents overlap in one storage."""
    paths: dict[int, list[str]] = defaultdict(list)
    owners: dict[int, str] = {}
    extents: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for path, module in walk(model):
        for name, tensor, _ in own_tensors(module):
            paths[id(tensor)].append(join(path, name))
            if len(paths[id(tensor)]) == 1:
                owners[id(tensor)] = path
                extent = _extent(tensor)
                if extent is not None and not getattr(tensor, BEING_COPIED, False):
                    extents[tensor.untyped_storage().data_ptr()].append((*extent, id(tensor)))
    found: list[_Found] = []
    for entries in extents.values():
        for group in _overlapping(entries):
            ordered = [key for key in paths if key in group]
            members = tuple(path for key in ordered for path in paths[key])
            found.append(("storage", members, owners[ordered[0]]))
    return found


def _extent(tensor: torch.Tensor) -> tuple[int, int] | None:
    """First and last byte (exclusive) of a tensor in its storage; None where it has none."""
    if (
        is_lazy(tensor)
        or tensor.is_nested
        or tensor.is_meta
        or tensor.layout != torch.strided
        or not tensor.numel()
    ):
        return None
    try:
        if not tensor.untyped_storage().data_ptr():
            return None
    except RuntimeError:  # fake and wrapped tensors refuse to show an address
        return None
    last = sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.stride(), strict=True))
    start = int(tensor.storage_offset()) * tensor.element_size()
    return start, start + int(last + 1) * tensor.element_size()


def _overlapping(entries: list[tuple[int, int, int]]) -> list[set[int]]:
    groups: list[set[int]] = []
    reach = -1
    for start, stop, key in sorted(entries):
        if start < reach:
            groups[-1].add(key)
        else:
            groups.append({key})
        reach = max(reach, stop)
    return [group for group in groups if len(group) > 1]
