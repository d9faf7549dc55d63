"""Move blocks to another place in their list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from surgery.depth import arranged, by_list
from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Target, Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(
    title="Move", group="arrange", source="original; reordered layers after Sun et al. 2024, arXiv:2407.09298"
)
class Move(Operation):
    """The blocks stand before or behind another of their list, in the order they were in.

    Fields: `targets`, `to`: items of one ModuleList or Sequential (in a transformers model: its
    blocks); `place`: on which side of `to`. Each block takes the KV cache slot of its new position.
    Shapes stay. Refused: blocks of different lists, a block to move to itself, blocks that are there already,
    families of transformers that are not proved yet.
    """

    targets: Targets = option(help="the blocks that move")
    to: Target = option(help="the block beside which they stand then")
    place: Literal["before", "after"] = option("before", help="on which side of it")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        moving = by_list(patient, self.targets.paths, "move")
        parent, goal = patient.block_list(str(self.to), "move")
        if list(moving) != [parent]:
            others = ", ".join(other for other in moving if other != parent)
            raise SurgeryError(
                "move needs blocks of one list", path=self.targets.select, got=others, expected=parent
            )
        if goal in moving[parent]:
            raise SurgeryError(
                "a block cannot be moved beside itself", path=str(self.to), hint="another `to`"
            )
        count = patient.items(parent)
        order = [index for index in range(count) if index not in moving[parent]]
        at = order.index(goal) + (self.place == "after")
        order[at:at] = sorted(moving[parent])
        if order == list(range(count)):
            raise SurgeryError("is there already", path=self.targets.select, got=f"{self.place} {self.to}")
        yield from arranged(patient, {parent: order}, "move")
