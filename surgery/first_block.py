"""What sets the first block of a list apart: T5's relative position bias, the way into a stage of a ResNet.

T5's first block makes the bias and the others are handed it. So it stays with the first place, not with
the block, whichever block comes to stand there. A ResNet's may change width and resolution; then no other
block fits there, and it fits nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from surgery.edits import Edit, PlaceModule, SetAttribute
from surgery.errors import SurgeryError
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


def refuse_moved_entry(patient: Patient, parent: str, part: str, order: Sequence[int], verb: str) -> None:
    """SurgeryError if the block that leads into the list would not be the first in it, and once."""
    names = list(patient.module(parent)._modules)
    for index, name in enumerate(names):
        leads = not isinstance(patient.module(f"{parent}.{name}.{part}"), nn.Identity)
        places = [number for number, item in enumerate(order) if item == index]
        if leads and places != [0]:
            raise SurgeryError(
                f"{verb} cannot take this block from where it is: on the way into its list it changes width "
                "or resolution",
                path=f"{parent}.{name}",
                hint=f"`{parent}[1:]`, the others",
            )
