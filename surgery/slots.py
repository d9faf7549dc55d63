"""Slots of the KV cache: which one the attention of each block has.

A cache of transformers has a slot per item of the config's `layer_types`, of that type; without them one
per block. It takes the length of what it holds from slot 0, and masks from the first slot of a type. Blocks
without attention leave slots empty, so those must not be the first: of each type the slots are given
out in the order of the blocks that have attention.
"""

from __future__ import annotations

from collections.abc import Sequence


def retyped(types: Sequence[str], attends: Sequence[bool]) -> list[str]:
    """Layer types in which every type is that of a block with attention.

    A block without attention whose type nobody else has takes that of the next with attention, or of the
    last. At least one block has attention.
    """
    used = {kind for kind, does in zip(types, attends, strict=True) if does}
    made: list[str] = []
    following = next(kind for kind, does in zip(types[::-1], attends[::-1], strict=True) if does)
    for kind, does in zip(types[::-1], attends[::-1], strict=True):
        following = kind if does else following
        made.append(kind if kind in used else following)
    return made[::-1]


def slots(types: Sequence[str], attends: Sequence[bool]) -> list[int | None]:
    """The slot of each block, None for those without attention; `types` as `retyped` gives them."""
    places: dict[str, list[int]] = {}
    for place, kind in enumerate(types):
        places.setdefault(kind, []).append(place)
    free = {kind: iter(found) for kind, found in places.items()}
    return [next(free[kind]) if does else None for kind, does in zip(types, attends, strict=True)]
