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
    used = [kind for kind, does in zip(types, attends, strict=True) if does]
    made: list[str] = []
    for place, kind in enumerate(types):
        following = [types[later] for later in range(place, len(types)) if attends[later]]
        made.append(kind if kind in used else (following or used[-1:])[0])
    return made


def slots(types: Sequence[str], attends: Sequence[bool]) -> list[int | None]:
    """The slot of each block, None for those without attention; `types` as `retyped` gives them."""
    free = {kind: [place for place, other in enumerate(types) if other == kind] for kind in types}
    return [free[kind].pop(0) if does else None for kind, does in zip(types, attends, strict=True)]
