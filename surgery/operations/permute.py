"""Permute: units in another order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

from surgery.alignment.choosing import groups_among
from surgery.alignment.groups import groups
from surgery.alignment.reordering import Reordering
from surgery.alignment.units import Units, frozen, labels, thawed
from surgery.charts.kinds import Bars, Chart
from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Found, Targets, option
from surgery.lazy import Lazy, recipe
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(
    title="Permute",
    group="adjust",
    source="Hecht-Nielsen 1990, doi:10.1016/B978-0-444-88400-8.50019-4",
)
class Permute(Operation):
    """The targets' units are in another order wherever they are written or read; the model computes the same.

    Fields: `targets`: modules that write the units, or what contains them; `units`: their kind, or `all`.
    Neurons, channels and the width of a residual stream are found by following the model's forward: all
    that is added, multiplied or normalised together has one order, of a tie too. Heads are moved whole, those
    that share keys and values together; of grouped convolutions a whole group is a unit. `order`: place i
    gets the unit that was at `order[i]`, from 0, in every group of the targets; without it the order is drawn
    by `seed`, for each group by its name. Outputs are equal but for the rounding of sums in another order.
    Shapes stay.

    Refused: what goes in or comes out of the model, entries inside heads, heads that a position bias or a
    config names by place, a group that modules outside the targets write too, an order that is none.
    """

    targets: Targets = option(help="modules that write the units, or what contains them")
    units: Literal["all", "neurons", "heads", "channels", "width"] = option("all", help="what changes places")
    order: tuple[int, ...] = option((), help="places that the units come from, from 0; drawn if empty")
    seed: int = option(0, help="draws the order of each group", minimum=0)
    found: Found | None = option(None, help="the units that hang together, as the first run showed")

    def keeps_structure(self) -> bool:
        return True

    def resolved(self, patient: Patient) -> Permute:
        """Also what hangs together: it is found with example inputs, and without them kept."""
        step = super().resolved(patient)
        if step.found is not None and patient.inputs is None:
            return step
        found = frozen(groups_among(patient, groups(patient), step.targets, step.units))
        if step.found not in (None, found):
            raise SurgeryError(
                "permute was recorded on units that hang together in another way than here",
                path=step.targets.select,
                hint="the model the script was made on, or making the step anew",
            )
        changes: dict[str, Any] = {"found": found}
        return replace(step, **changes)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        indices = {group: self._index(group) for group in self._groups(patient)}
        yield from Reordering(patient, indices).edits()

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        found = self._groups(patient)
        return Bars(
            title="Units that change places together",
            labels=labels(found),
            values=tuple(float(group.count) for group in found),
            unit="units",
        )

    def _groups(self, patient: Patient) -> list[Units]:
        if self.found is None:
            return groups_among(patient, groups(patient), self.targets, self.units)
        return thawed(patient, self.found, self.name)

    def _index(self, group: Units) -> Lazy:
        shape = (group.count,)
        if not self.order:
            return recipe("shuffled", shape=shape, dtype=torch.int64, seed=self.seed, path=group.name)
        if sorted(self.order) != list(range(group.count)):
            noun = "entries of its width" if group.kind == "width" else group.kind
            blocks = f" of {group.size} entries each" if group.size > 1 else ""
            raise SurgeryError(
                f"this is no order of {group.count} {noun}{blocks}",
                path=group.path,
                got=", ".join(map(str, self.order[:8])) + (", …" if len(self.order) > 8 else ""),
                expected=f"each place from 0 to {group.count - 1} once",
            )
        return recipe("chosen", shape=shape, dtype=torch.int64, places=self.order)
