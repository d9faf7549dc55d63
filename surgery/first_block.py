"""What the first block of a list has for all of them: T5's relative position bias.

The first block makes the bias and the others are handed it. So it stays with the first place, not with
the block, whichever block comes to stand there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from surgery.edits import Edit, PlaceModule, SetAttribute
from surgery.model import Patient


def handed_on(patient: Patient, parent: str, part: str, order: Sequence[int]) -> Iterator[Edit]:
    """Edits, once the list is in this order, after which its first block has the `part`, and no other has."""
    around, _, name = part.rpartition(".")
    blocks = list(patient.module(parent)._modules.values())
    owners = [block is not None and name in block.get_submodule(around)._modules for block in blocks]
    if not any(owners):
        return
    held = patient.module(f"{parent}.{list(patient.module(parent)._modules)[owners.index(True)]}.{part}")
    for number, index in enumerate(order):
        same = number > 0 and index != order[0] and blocks[index] is blocks[order[0]]
        if owners[index] != (number == 0) and not same:
            site = f"{parent}.{number}.{around}"
            yield PlaceModule(f"{site}.{name}", None if owners[index] else held)
            yield SetAttribute(site, f"has_{name}", number == 0)
