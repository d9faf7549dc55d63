"""Pad: more neurons or heads, of zeros."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.widths.config import config_edits
from surgery.widths.padding import ADDED, Padding
from surgery.widths.part import Part
from surgery.widths.refusals import refuse_sealed, refuse_unlike
from surgery.widths.selecting import parts_among


@operation(title="Pad", group="adjust", source="original")
class Pad(Operation):
    """The targets have further units of zeros, which lead nowhere; outputs do not change but by rounding.

    Fields: `targets`: modules with such units or what contains them; `units`: their kind; `count`: how many
    each has then, of `heads` the query heads, by default as many as the widest of the targets. Neurons get
    rows of zeros in what leads in, biases too, and columns of zeros in what leads out; heads rows of zeros
    in queries, keys and values, and columns of zeros in what leads out. They stand behind the others. Tied
    parts are padded alike and stay tied. The config follows once all parts of the model agree and if it can
    say it; else a folder needs `surgery.load`.

    `heads` that share keys and values come together, in groups as large as those that are there; where one
    is left, as the config has them. Where the config has one head of keys for all, query heads come alone.

    Refused: no such units there, parts that have more already, a count that is no whole number of units, a
    tie that leads out of the targets, modules under adapters, neurons that look at one another.
    """

    targets: Targets = option(help="modules with such units, or what contains them")
    units: Literal["neurons", "heads"] = option("neurons", help="what there are more of")
    count: int | None = option(
        None, help="how many each has then; by default as the widest of them", minimum=1
    )

    def plan(self, patient: Patient) -> Iterator[Edit]:
        parts = ADDED[self.units](patient)
        mine = parts_among(parts, self.targets, self.units, "pad knows how to add to")
        refuse_sealed(patient, mine)
        count = self.count or max(part.count * part.per_unit for part in mine)
        left = {part: self._units(part, count) for part in mine if part.count * part.per_unit != count}
        if not left:
            raise SurgeryError(
                "pad would change nothing",
                path=self.targets.select,
                got=f"{count} {self.units} everywhere",
                hint="`count=`, how many each is to have",
            )
        refuse_unlike(parts, left)
        yield from Padding(patient, left).edits()
        yield from config_edits(patient, parts, left)

    def _units(self, part: Part, count: int) -> int:
        """How many units this part has then."""
        had = part.count * part.per_unit
        if count < had:
            raise SurgeryError(
                f"has {had} {self.units} already",
                path=part.path,
                got=f"{count} to be had",
                expected=f"more than {had}",
                hint="`narrow`, which takes some away",
            )
        if count % part.per_unit:
            raise SurgeryError(
                f"its {self.units} come in groups of {part.per_unit}",
                path=part.path,
                got=count,
                expected=f"a multiple of {part.per_unit}",
            )
        if part.most is not None and count > part.most:
            raise SurgeryError(
                f"has {had} of the {part.most} query heads that share keys and values, and no other group "
                "comes before these are whole",
                path=part.path,
                got=count,
                expected=f"at most {part.most}",
                hint=f'`pad("{part.path}", "heads", count={part.most})` first',
            )
        return count // part.per_unit
