"""Edits of depth, shared by the operations that arrange blocks: list, numbering and config together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import nn

from surgery.edits import Arrange, Edit, SetAttribute, SetConfig, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.families import FAMILIES, Family, indexed_modules
from surgery.lazy import Recipe, recipe
from surgery.model import Patient, sharing_shell
from surgery.slots import retyped, slots


def by_list(patient: Patient, paths: Sequence[str], verb: str) -> dict[str, list[int]]:
    """The positions of blocks, by the path of their list, in the order given and each once."""
    found: dict[str, list[int]] = {}
    for path in paths:
        parent, index = patient.block_list(path, verb)
        if index not in found.setdefault(parent, []):
            found[parent].append(index)
    return found


def without(patient: Patient, gone: dict[str, list[int]], verb: str) -> Iterator[Edit]:
    """Edits after which those items are gone; refused if a list would be left empty."""
    for parent, indices in gone.items():
        count = patient.items(parent)
        if len(indices) == count:
            raise SurgeryError(
                f"{verb} would leave no block",
                path=parent,
                got=f"all {count} blocks",
                hint=f"`{parent}[1:]`, which keeps the first",
            )
        kept = [index for index in range(count) if index not in indices]
        yield from arranged(patient, parent, kept, verb)


def arranged(
    patient: Patient, parent: str, order: Sequence[int], verb: str, *, own: bool = True
) -> Iterator[Edit]:
    """Edits after which the list holds its items in `order`, renumbered, and the config says so.

    A position that comes again is a block of its own from there on: with parameters copied, or, without
    `own`, with those of the first, shared.
    """
    yield Arrange(parent, tuple(order))
    names = list(patient.module(parent)._modules)
    for number, index in enumerate(order):
        if index in order[:number]:
            yield SetModule(f"{parent}.{number}", sharing_shell)
            if own:
                yield from copies(patient, f"{parent}.{names[index]}", f"{parent}.{number}")
    yield from followed(patient, parent, order, verb)


def followed(
    patient: Patient,
    parent: str,
    order: Sequence[int],
    verb: str,
    indexed: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> Iterator[Edit]:
    """Edits after which numbers and config are those of the list's items in `order`.

    `indexed`: by position the paths in a block of the modules that keep an index, where the block is not, or
    not wholly, the one of `order`. A block has attention if there are any; see `surgery.slots`. Refused if
    none has where one had before.
    """
    family = patient.family(verb)
    if family is None:
        return
    blocks = _blocks(patient, parent)
    names = [indexed.get(number, _indexed(blocks[index])) for number, index in enumerate(order)]
    attends = [_attends(found) for found in names]
    if not any(_attends(_indexed(block)) for block in blocks):
        attends = [True] * len(order)  # an encoder, which has no cache
    elif not any(attends):
        raise SurgeryError(
            f"{verb} would leave no attention, and the model counts positions by its KV cache",
            path=parent,
            hint="leaving it in one block",
        )
    types = retyped(_types(patient, family, len(blocks), order), attends)
    for number, (found, slot) in enumerate(zip(names, slots(types, attends), strict=True)):
        for name in found if slot is not None else ():
            yield SetAttribute(f"{parent}.{number}.{name}".rstrip("."), "layer_idx", slot)
    yield from _config(patient, family, len(blocks), order, types)


def slot_of(patient: Patient, parent: str, place: int) -> int | None:
    """The slot in the cache that belongs to the block at `place` of the family's list as it is."""
    attends = [_attends(_indexed(block)) for block in _blocks(patient, parent)]
    return slots(block_types(patient, parent), attends)[place]


def block_types(patient: Patient, parent: str) -> list[str]:
    """The type of attention of each block of the family's list as it is; all alike if the config has none."""
    count = patient.items(parent)
    return _types(patient, FAMILIES[str(patient.model_type)], count, range(count))


def _blocks(patient: Patient, parent: str) -> list[nn.Module]:
    return [module for module in patient.module(parent)._modules.values() if module is not None]


def _indexed(block: nn.Module) -> list[str]:
    return [name for name, _ in indexed_modules(block)]


def _attends(indexed: Sequence[str]) -> bool:
    """Whether modules that keep an index are there besides the block itself."""
    return any(name != "" for name in indexed)


def _types(patient: Patient, family: Family, count: int, order: Sequence[int]) -> list[str]:
    """The config's layer types in `order`; all alike if it has none."""
    items = getattr(patient.config, "layer_types", None) if "layer_types" in family.per_layer_lists else None
    kinds = items if isinstance(items, list | tuple) and len(items) == count else [""] * count
    return [kinds[index] for index in order]


def copies(patient: Patient, source: str, target: str) -> Iterator[Edit]:
    """The parameters at `target` are copies of those at `source`; what is tied inside it stays so."""
    made: dict[int, Recipe] = {}
    for name, lazy in patient.tensors(source):
        copy = made.setdefault(id(lazy.parameter), recipe("copy", lazy))
        yield SetTensor(f"{target}.{name}", copy)


def _config(
    patient: Patient, family: Family, count: int, order: Sequence[int], types: list[str]
) -> Iterator[Edit]:
    config, around = patient.config, patient.blocks(family).rpartition(".")[0]
    yield SetConfig("num_hidden_layers", len(order))
    if family.count:
        yield SetAttribute(around, family.count, len(order))
    for name in family.per_layer_lists:
        items = getattr(config, name, None)
        if isinstance(items, list | tuple) and len(items) == count:
            left = types if name == "layer_types" else [items[index] for index in order]
            yield SetConfig(name, left)
            if name == "layer_types":
                yield from _noted_types(patient, family, around, left)
    for name in family.per_layer_prefixes:
        first = getattr(config, name, None)
        if isinstance(first, int):
            yield SetConfig(name, sum(index < first for index in order))


def _noted_types(patient: Patient, family: Family, around: str, left: list[str]) -> Iterator[Edit]:
    """What the module around the blocks noted at init of their types; a reload would note it anew."""
    if "has_sliding_layers" in patient.module(around).__dict__:
        yield SetAttribute(around, "has_sliding_layers", "sliding_attention" in left)
    if family.by_layer_type:
        path = f"{around}.{family.by_layer_type}".lstrip(".")
        if set(patient.module(path).__dict__["layer_types"]) != set(left):
            yield SetModule(path, lambda module: _with_tables_for(module, left))


def _with_tables_for(module: nn.Module, left: list[str]) -> nn.Module:
    """The module without tables and attributes of the types that are not left; their names begin so."""
    made = sharing_shell(module)
    rotary: Any = made
    for gone in [name for name in rotary.layer_types if name not in left]:
        rotary.layer_types.remove(gone)
        rotary.rope_type.pop(gone, None)
        for name in [*made._buffers, *made.__dict__]:
            if name.startswith(f"{gone}_"):
                delattr(made, name)
    return made
