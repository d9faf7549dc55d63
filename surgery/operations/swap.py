"""Swap two blocks."""

from __future__ import annotations

from collections.abc import Iterator

from surgery.depth import arranged
from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Target, option
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(
    title="Swap", group="arrange", source="original; swapped layers after Lad et al. 2024, arXiv:2406.19384"
)
class Swap(Operation):
    """Two blocks of a list stand in each other's place.

    Fields: `target`, `other`: items of one ModuleList or Sequential (in a transformers model: its
    blocks). Each takes the KV cache slot of its new position. Shapes stay. Refused: blocks of
    different lists, one block twice, families of transformers that are not proved yet.
    """

    target: Target = option(help="the one block")
    other: Target = option(help="the other block")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        parent, first = patient.block_list(str(self.target), "swap")
        beside, second = patient.block_list(str(self.other), "swap")
        if parent != beside:
            raise SurgeryError(
                "swap needs blocks of one list", path=str(self.other), got=beside, expected=parent
            )
        if first == second:
            raise SurgeryError("swap needs two blocks", path=str(self.other), got="the same one twice")
        order = list(range(patient.items(parent)))
        order[first], order[second] = second, first
        yield from arranged(patient, {parent: order}, "swap")
