"""Edits of depth, shared by the operations that arrange blocks: list, numbering and config together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from surgery.cache_slots import refuse_too_few
from surgery.depth_config import told
from surgery.edits import Arrange, Edit, SetAttribute, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.families import indexed_modules
from surgery.first_block import handed_on, refuse_moved_entry
from surgery.lazy import Recipe, recipe
from surgery.model import Patient, sharing_shell


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
        if parent in lists:
            yield from _renumbered(patient, parent, order)
            yield from told(patient, parent, lists[parent], order, alone=len(lists) == 1)
            if part := lists[parent].first:
                yield from handed_on(patient, parent, part, order)


def _in_order(patient: Patient, parent: str, order: Sequence[int], own: bool) -> Iterator[Edit]:
    """The list with its items in that order, copies made where one comes again."""
    yield Arrange(parent, tuple(order))
    names = list(patient.module(parent)._modules)
    for number, index in enumerate(order):
        if index in order[:number]:
            yield SetModule(f"{parent}.{number}", sharing_shell)
            if own:
                yield from _copied(patient, f"{parent}.{names[index]}", f"{parent}.{number}")


def _renumbered(patient: Patient, parent: str, order: Sequence[int]) -> Iterator[Edit]:
    """Each block has the slot of the KV cache that belongs to its place."""
    blocks = [module for module in patient.module(parent)._modules.values() if module is not None]
    for number, index in enumerate(order):
        for name, module in indexed_modules(blocks[index]):
            if module.__dict__["layer_idx"] != number:
                yield SetAttribute(f"{parent}.{number}.{name}".rstrip("."), "layer_idx", number)


def _copied(patient: Patient, source: str, target: str) -> Iterator[Edit]:
    """The parameters of a block are copies of those of another; what is tied inside it stays so."""
    copies: dict[int, Recipe] = {}
    for name, lazy in patient.tensors(source):
        copy = copies.setdefault(id(lazy.parameter), recipe("copy", lazy))
        yield SetTensor(f"{target}.{name}", copy)
