"""Edits of depth, shared by the operations that arrange blocks: list, numbering and config together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from torch import nn

from graph.paths import is_below
from surgery.cache_slots import refuse_too_few
from surgery.depth_config import told
from surgery.edits import Arrange, Edit, SetAttribute, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.families import FAMILIES, BlockList
from surgery.first_block import handed_on, refuse_moved_entry
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
    for inner in found:
        for outer in found:
            if inner != outer and is_below(inner, outer):
                raise SurgeryError(
                    f"{verb} would rearrange this list and one inside it at once",
                    path=outer,
                    got=f"blocks of {inner} too",
                    hint="a step for each, the inner one first",
                )
    return found


def without(patient: Patient, gone: dict[str, list[int]], verb: str) -> Iterator[Edit]:
    """Edits after which those items are gone; refused if a list would be left empty."""
    orders: dict[str, list[int]] = {}
    for parent, indices in gone.items():
        count = patient.items(parent)
        if len(indices) == count:
            raise SurgeryError(
                f"{verb} would leave no block",
                path=parent,
                got=f"all {count} blocks",
                hint=f"`{parent}[1:]`, which keeps the first",
            )
        orders[parent] = [index for index in range(count) if index not in indices]
    yield from arranged(patient, orders, verb)


def arranged(
    patient: Patient, orders: dict[str, list[int]], verb: str, *, own: bool = True
) -> Iterator[Edit]:
    """Edits after which each list holds its items in its order, renumbered, and the config says so.

    A position that comes again is a block of its own from there on: with parameters copied, or, without
    `own`, with those of the first, shared.
    """
    family = patient.family(verb)
    lists = patient.block_lists(family) if family else {}
    refuse_too_few(patient, lists, orders, verb)
    for parent, order in orders.items():
        if parent in lists and (part := lists[parent].entry):
            refuse_moved_entry(patient, parent, part, order, verb)
        yield from _in_order(patient, parent, order, own)
        yield from followed(patient, parent, order, verb)


def _in_order(patient: Patient, parent: str, order: Sequence[int], own: bool) -> Iterator[Edit]:
    """The list with its items in that order, copies made where one comes again."""
    yield Arrange(parent, tuple(order))
    names = list(patient.module(parent)._modules)
    for number, index in enumerate(order):
        if index in order[:number]:
            yield SetModule(f"{parent}.{number}", sharing_shell)
            if own:
                yield from copies(patient, f"{parent}.{names[index]}", f"{parent}.{number}")


def followed(
    patient: Patient,
    parent: str,
    order: Sequence[int],
    verb: str,
    indexed: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> Iterator[Edit]:
    """Edits after which numbers, config and first block are those of the list's items in `order`.

    `indexed`: by position the paths in a block of the modules that keep an index, where the block is not, or
    not wholly, the one of `order`. A block has attention if there are any; see `surgery.slots`. Refused if
    none has where one had before. Nothing follows in a list that is not one of the family's.
    """
    family = patient.family(verb)
    lists = patient.block_lists(family) if family else {}
    if parent not in lists:
        return
    blocks, before = lists[parent], _indexed(patient, parent)
    names = [indexed.get(number, before[index]) for number, index in enumerate(order)]
    attends = [_attends(found) for found in names]
    if not any(map(_attends, before)):
        attends = [True] * len(order)  # an encoder, which has no cache
    elif not any(attends):
        raise SurgeryError(
            f"{verb} would leave no attention, and the model counts positions by its KV cache",
            path=parent,
            hint="leaving it in one block",
        )
    types = retyped(_types(patient, blocks, len(before), order), attends)
    for number, (found, slot) in enumerate(zip(names, slots(types, attends), strict=True)):
        for name in found if slot is not None else ():
            yield SetAttribute(f"{parent}.{number}.{name}".rstrip("."), "layer_idx", slot)
    yield from told(patient, parent, blocks, order, types=types, attends=attends, alone=len(lists) == 1)
    if blocks.first:
        yield from handed_on(patient, parent, blocks.first, order, verb)


def slot_of(patient: Patient, parent: str, place: int) -> int | None:
    """The slot in the cache that belongs to the block at `place` of one of the family's lists as it is."""
    attends = [_attends(found) for found in _indexed(patient, parent)]
    return slots(block_types(patient, parent), attends)[place]


def block_types(patient: Patient, parent: str) -> list[str]:
    """The type of attention of each block of a list of the family's as it is; all alike if it has none."""
    count = patient.items(parent)
    blocks = patient.block_lists(FAMILIES[str(patient.model_type)])[parent]
    return _types(patient, blocks, count, range(count))


def _indexed(patient: Patient, parent: str) -> list[list[str]]:
    """By item of a list the paths in it of the modules that keep an index, as `indexed_modules` has it."""
    found: dict[str, dict[nn.Module, str]] = {
        name: {} for name, module in patient.module(parent)._modules.items() if module is not None
    }
    prefix = f"{parent}." if parent else ""
    for path, module, _, _ in patient.places:
        index = module.__dict__.get("layer_idx")  # most have none
        if index is not None and isinstance(index, int) and path.startswith(prefix) and path != parent:
            name, _, inner = path[len(prefix) :].partition(".")
            found[name].setdefault(module, inner)
    return [list(names.values()) for names in found.values()]


def _attends(indexed: Sequence[str]) -> bool:
    """Whether modules that keep an index are there besides the block itself."""
    return any(name != "" for name in indexed)


def _types(patient: Patient, blocks: BlockList, count: int, order: Sequence[int]) -> list[str]:
    """The config's layer types in `order`; all alike if it has none."""
    items = getattr(patient.config, "layer_types", None) if "layer_types" in blocks.per_layer_lists else None
    kinds = items if isinstance(items, list | tuple) and len(items) == count else [""] * count
    return [kinds[index] for index in order]


def copies(patient: Patient, source: str, target: str) -> Iterator[Edit]:
    """The parameters at `target` are copies of those at `source`; what is tied inside it stays so."""
    made: dict[int, Recipe] = {}
    for name, lazy in patient.tensors(source):
        copy = made.setdefault(id(lazy.parameter), recipe("copy", lazy))
        yield SetTensor(f"{target}.{name}", copy)
