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


def handed_on(patient: Patient, parent: str, part: str, order: Sequence[int], verb: str) -> Iterator[Edit]:
    """Edits, once the list is in this order, after which its first block has the `part`, and no other has.

    Refused where the first block would be another, or come again, and a block is not built as its class
    builds it, since something was wrapped around it or its attention.
    """
    around, _, name = part.rpartition(".")
    blocks = list(patient.module(parent)._modules.values())
    owners = [_has(block, around, name) for block in blocks]
    if None in owners and (order[0] != 0 or 0 in order[1:]):
        raise SurgeryError(
            f"{verb} would take the {name} to another block, and it is not known where that is to go",
            path=f"{parent}.{list(patient.module(parent)._modules)[owners.index(None)]}",
            hint="this before anything is wrapped there",
        )
    if True not in owners:
        return
    held = patient.module(f"{parent}.{list(patient.module(parent)._modules)[owners.index(True)]}.{part}")
    for number, index in enumerate(order):
        same = number > 0 and index != order[0] and blocks[index] is blocks[order[0]]
        if owners[index] not in (None, number == 0) and not same:
            site = f"{parent}.{number}.{around}"
            yield PlaceModule(f"{site}.{name}", None if owners[index] else held)
            yield SetAttribute(site, f"has_{name}", number == 0)


def _has(block: nn.Module | None, around: str, name: str) -> bool | None:
    """Whether a block has the part called `name`; None if its class would have `around` elsewhere."""
    try:
        owner = block.get_submodule(around) if block is not None else None
    except AttributeError:
        return None
    return name in owner._modules if owner is not None and hasattr(owner, f"has_{name}") else None


def refuse_moved_entry(patient: Patient, parent: str, part: str, order: Sequence[int], verb: str) -> None:
    """SurgeryError if the block that leads into the list would not be the first in it, and once."""
    names = list(patient.module(parent)._modules)
    for index, name in enumerate(names):
        leads = any(
            f".{path}".endswith(f".{part}") and not isinstance(module, nn.Identity)
            for path, module in patient.module(f"{parent}.{name}").named_modules()
        )
        places = [number for number, item in enumerate(order) if item == index]
        if leads and places != [0]:
            raise SurgeryError(
                f"{verb} cannot take this block from where it is: on the way into its list it changes width "
                "or resolution",
                path=f"{parent}.{name}",
                hint=f"`{parent}[1:]`, the others",
            )
