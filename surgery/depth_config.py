"""What configs and modules say of a list of blocks, said anew after an edit of depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from surgery.edits import Edit, SetAttribute, SetConfig, SetModule
from surgery.families import BlockList
from surgery.model import Patient, sharing_shell


def told(
    patient: Patient,
    parent: str,
    blocks: BlockList,
    order: Sequence[int],
    *,
    types: list[str],
    attends: Sequence[bool],
    alone: bool,
) -> Iterator[Edit]:
    """Edits after which everything that counts or lists the blocks of `parent` is right for this order.

    By block after it: `types`, that of its attention, as `slots.retyped` gives them, and `attends`, whether
    it has any. `alone`: whether the model has no other of its family's lists.
    """
    yield SetConfig(blocks.count, len(order))
    if alone and blocks.alone:
        yield SetConfig(blocks.alone, len(order))
    yield from _repeated(patient, blocks, len(order))
    yield from _per_layer(patient, parent, blocks, order, types)
    yield from _named_heads(patient, blocks, order, attends)


def _repeated(patient: Patient, blocks: BlockList, count: int) -> Iterator[Edit]:
    """The number where it is said again, as far as this model has the place."""
    for path in blocks.repeats:
        owner, _, name = path.rpartition(".")
        module = owner.removesuffix(".config")
        here = patient.here(module)
        if here is not None and module == owner:
            yield SetAttribute(here, name, count)
        elif here is not None:
            yield SetConfig(name, count, of=f"{here}.config")


def _per_layer(
    patient: Patient, parent: str, blocks: BlockList, order: Sequence[int], types: list[str]
) -> Iterator[Edit]:
    """Config lists with an item per block, and numbers that count the first of them."""
    config, around = patient.config, parent.rpartition(".")[0]
    for name in blocks.per_layer_lists:
        items = getattr(config, name, None)
        if isinstance(items, list | tuple) and len(items) == patient.items(parent):
            left = types if name == "layer_types" else [items[index] for index in order]
            yield SetConfig(name, left)
            if name == "layer_types":
                yield from _layer_types(patient, blocks, around, left)
    for name in blocks.per_layer_prefixes:
        first = getattr(config, name, None)
        if isinstance(first, int):
            yield SetConfig(name, sum(index < first for index in order))


def _named_heads(
    patient: Patient, blocks: BlockList, order: Sequence[int], attends: Sequence[bool]
) -> Iterator[Edit]:
    """The generation setting that lists heads, by the places of their blocks then, without those gone."""
    settings = getattr(patient.root, "generation_config", None)
    pairs = getattr(settings, blocks.named_heads, None) if blocks.named_heads else None
    if blocks.named_heads and pairs:
        places = [(place, index) for place, index in enumerate(order) if attends[place]]
        left = [[place, head] for block, head in pairs for place, index in places if index == block]
        yield SetConfig(blocks.named_heads, left, of="generation_config")


def _layer_types(patient: Patient, blocks: BlockList, around: str, left: list[str]) -> Iterator[Edit]:
    """What the module around the blocks noted at init of their types; a reload would note it anew."""
    if "has_sliding_layers" in patient.module(around).__dict__:
        yield SetAttribute(around, "has_sliding_layers", "sliding_attention" in left)
    if blocks.by_layer_type:
        path = f"{around}.{blocks.by_layer_type}".lstrip(".")
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
