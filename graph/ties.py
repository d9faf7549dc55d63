"""Ties of a live module: what sits at several paths, read by identity and by storage.

Read from the tree, never from a trace: a tie exists whether or not both places are called.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from graph.nodes import Tie
from graph.tree import Site, is_lazy, join, sites

BEING_COPIED = "_being_copied"
"""Attribute of a tensor that shares memory only until its copy is made: it is tied to nothing."""

_Found = tuple[Literal["parameter", "module", "storage"], tuple[str, ...], str]  # the last: where to list it
_Held = tuple[str, nn.Module, str, torch.Tensor]  # the path of what holds it, that, its name there


def ties(model: nn.Module, places: Sequence[Site] | None = None) -> tuple[Tie, ...]:
    """Every tie of `model`, ordered by first path; `Tie.index` is its place in the result.

    A *module* tie is one module object at several paths; a *parameter* tie one parameter or
    buffer object; a *storage* tie different tensors whose elements overlap in memory (neighbours
    in one buffer, such as the halves of a fused weight, aren't tied). What merely
    follows from a reused module around it isn't listed again. Tensors on meta have no storage. `places`
    are the sites of the model, if they are known.
    """
    places = sites(model) if places is None else places
    held = [
        (path, module, name, tensor)
        for path, module, _, _ in places
        for tensors in (module._parameters, module._buffers)
        for name, tensor in (tensors.items() if tensors else ())
        if tensor is not None
    ]
    found = _modules(places) + _tensors(held) + _storages(held)
    if not found:
        return ()
    order = {site[0]: place for place, site in enumerate(places)}
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


def _modules(places: Sequence[Site]) -> list[_Found]:
    sites_of: dict[int, list[Site]] = {}
    for site in places:
        sites_of.setdefault(id(site[1]), []).append(site)
    # One slot of one parent seen twice only says that the parent is reused.
    return [
        ("module", tuple(site[0] for site in found), found[0][0])
        for found in sites_of.values()
        if len(found) > 1
        and len({(id(parent), path[len(around) :]) for path, _, around, parent in found}) > 1
    ]


def _tensors(held: Sequence[_Held]) -> list[_Found]:
    places: dict[int, list[_Held]] = {}
    for place in held:
        places.setdefault(id(place[3]), []).append(place)
    return [
        ("parameter", tuple(join(path, name) for path, _, name, _ in found), found[0][0])
        for found in places.values()
        if len(found) > 1 and len({(id(module), name) for _, module, name, _ in found}) > 1
    ]


def _storages(held: Sequence[_Held]) -> list[_Found]:
    """Groups of different tensors whose extents overlap in one storage."""
    paths: dict[int, list[str]] = {}
    owners: dict[int, str] = {}
    extents: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for path, _, name, tensor in held:
        if tensor.is_meta:
            continue
        seen = paths.setdefault(id(tensor), [])
        seen.append(join(path, name))
        if len(seen) == 1:
            owners[id(tensor)] = path
            extent = _extent(tensor)
            if extent is not None and not getattr(tensor, BEING_COPIED, False):
                extents[tensor.untyped_storage().data_ptr()].append((*extent, id(tensor)))
    found: list[_Found] = []
    for entries in extents.values():
        for group in _overlapping(entries) if len(entries) > 1 else ():
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
