"""Where in a transformers model a module sits: a block, its attention or MLP, or somewhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from graph.paths import is_below
from surgery.errors import SurgeryError
from surgery.families import FAMILIES, BlockList, indexed_modules
from surgery.model import Patient

Role = Literal["block", "attention", "mlp"]


@dataclass(frozen=True)
class Place:
    """A place at or in a block: `inner` is the path in the block at position `number` of the list `parent`.

    `blocks` is what the family says of that list. `role` is None where it is not known what stands there;
    `pair` says that a module there returns a tuple of which the first item counts.
    """

    parent: str
    blocks: BlockList
    number: int
    inner: str
    role: Role | None
    pair: bool


def place_of(patient: Patient, path: str) -> Place | None:
    """The place of `path`; None outside the blocks, in plain models and in families that are not proved."""
    family = FAMILIES.get(patient.model_type or "")
    if family is None:
        return None
    for parent, blocks in patient.block_lists(family).items():
        if path != parent and is_below(path, parent):
            name, _, inner = path.removeprefix(f"{parent}.").partition(".")
            number = list(patient.module(parent)._modules).index(name)
            role = _role(blocks, inner)
            pair = blocks.pairs if role == "block" else role == "attention"
            return Place(parent, blocks, number, inner, role, pair)
    return None


def _role(blocks: BlockList, inner: str) -> Role | None:
    if inner == "":
        return "block"
    if inner == blocks.attention:
        return "attention"
    return "mlp" if inner == blocks.mlp else None


def refuse_stranger(patient: Patient, path: str, verb: str) -> None:
    """SurgeryError for a block that hands more than hidden states on to the next, as no other module does."""
    place = place_of(patient, path)
    if place is not None and place.role == "block" and place.blocks.first:
        raise SurgeryError(
            f"{verb} is not possible here: blocks of this list hand on what the first of them makes",
            path=path,
            got=place.blocks.first.rpartition(".")[2],
            hint="`remove`, or a part of the block",
        )


Indexed = dict[str, dict[int, list[str]]]
"""By block list and position: the paths in the block of the modules that keep an index, after an edit."""


def note_attention(
    patient: Patient, path: str, verb: str, indexed: Indexed, names: Sequence[str] = ()
) -> None:
    """Notes in `indexed` that what is at `path` is gone, and that `names` in its place keep an index.

    Nothing is noted where neither holds any. Refused in families that are not proved, and where attention
    sits in a part of a block of which it is not known what it returns.
    """
    module, place = patient.module(path), place_of(patient, path)
    if patient.model_type is None or not (indexed_modules(module) or names):
        return
    patient.family(verb)
    if place is None or place.role not in ("block", "attention"):
        raise SurgeryError(
            "holds the attention of a block together with more, or what it returns is not known, so that "
            f"{verb} cannot keep the KV cache right",
            path=path,
            got=type(module).__name__,
            hint=f"`{place.parent}[{place.number}]`, the whole block" if place else None,
        )
    block = list(patient.module(place.parent)._modules.values())[place.number]
    assert block is not None
    found = indexed.setdefault(place.parent, {}).setdefault(
        place.number, [name for name, _ in indexed_modules(block)]
    )
    left = [name for name in found if place.inner and not is_below(name, place.inner)]
    found[:] = left + [".".join(part for part in (place.inner, name) if part) for name in names]


def outermost(paths: Sequence[str]) -> list[str]:
    """The paths that are not below another of them."""
    return [path for path in paths if not any(path != other and is_below(path, other) for other in paths)]
