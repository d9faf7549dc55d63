"""Edits of depth, shared by the operations that take blocks out: list, numbering and config together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from surgery.edits import Edit, KeepItems, SetAttribute, SetConfig
from surgery.errors import SurgeryError
from surgery.families import Family, indexed_modules
from surgery.model import Patient


def removed_by_list(patient: Patient, paths: Sequence[str], verb: str) -> dict[str, list[int]]:
    """The indices that go, by block list; refused if a list would be left empty."""
    gone: dict[str, list[int]] = {}
    for path in paths:
        parent, index = patient.block_list(path, verb)
        if index not in gone.setdefault(parent, []):
            gone[parent].append(index)
    for parent, indices in gone.items():
        count = patient.items(parent)
        if len(indices) == count:
            raise SurgeryError(
                f"{verb} would leave no block",
                path=parent,
                got=f"all {count} blocks",
                hint=f"`{parent}[1:]`, which keeps the first",
            )
    return gone


def without(patient: Patient, gone: dict[str, list[int]], verb: str) -> Iterator[Edit]:
    """Edits after which those items are gone, the others renumbered, and the config says so."""
    for parent, indices in gone.items():
        count = patient.items(parent)
        kept = tuple(index for index in range(count) if index not in indices)
        yield KeepItems(parent, kept)
        family = patient.family(verb)
        if family:
            yield from _renumbered(patient, parent, kept)
            yield from _config(patient, family, count, kept)


def _renumbered(patient: Patient, parent: str, kept: tuple[int, ...]) -> Iterator[Edit]:
    blocks = [module for module in patient.module(parent)._modules.values() if module is not None]
    for number, index in enumerate(kept):
        for name, module in indexed_modules(blocks[index]):
            if module.__dict__["layer_idx"] != number:
                yield SetAttribute(f"{parent}.{number}.{name}".rstrip("."), "layer_idx", number)


def _config(patient: Patient, family: Family, count: int, kept: tuple[int, ...]) -> Iterator[Edit]:
    config = patient.config
    yield SetConfig("num_hidden_layers", len(kept))
    for name in family.per_layer_lists:
        items = getattr(config, name, None)
        if isinstance(items, list | tuple) and len(items) == count:
            left = [items[index] for index in kept]
            yield SetConfig(name, left)
            yield from _has_sliding(patient, family, left)
    for name in family.per_layer_prefixes:
        first = getattr(config, name, None)
        if isinstance(first, int):
            yield SetConfig(name, sum(index < first for index in kept))


def _has_sliding(patient: Patient, family: Family, layer_types: list[str]) -> Iterator[Edit]:
    """The decoder notes at init whether any block slides; a reload would note it anew."""
    decoder = patient.blocks(family).rpartition(".")[0]
    if "has_sliding_layers" in patient.module(decoder).__dict__:
        yield SetAttribute(decoder, "has_sliding_layers", "sliding_attention" in layer_types)
