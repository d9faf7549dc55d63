"""Grow in width: further neurons that change nothing yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from surgery.charts import Chart, Curves
from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.widths.config import config_edits
from surgery.widths.neurons import neurons
from surgery.widths.part import Part
from surgery.widths.refusals import refuse_sealed, refuse_unlike
from surgery.widths.selecting import parts_among
from surgery.widths.widening import Widening

_LINES = 4


@operation(title="Widen", group="adjust", source="Net2WiderNet: Chen et al. 2016, arXiv:1511.05641")
class Widen(Operation):
    """The feed-forward layers have further neurons, copies of some they had, and compute the same.

    Fields: `targets`: modules with neurons or what contains them; `factor`: how many times as many each has
    then, ⌈factor · n⌉, or `count`: how many; `seed`: which are copied. A copy has the rows of its neuron,
    (neurons, inputs) and biases, in all that leads in, gates too; the columns (outputs, neurons) of what
    leads out are divided among a neuron and its copies. No neuron gets a second copy before each has one, so
    that twice as many are halves, which are exact in every precision. What the model computes stays, which is
    proved in float64 before the step is kept. Tied layers are widened alike and stay tied; the config
    follows once all layers agree and if it can say it. Refused: no neurons there, a count that is not more,
    ties that lead out of the targets, modules under adapters, neurons that look at one another.
    """

    exact = True

    targets: Targets = option(help="modules with neurons, or what contains them")
    factor: float = option(2.0, help="how many times as many neurons", minimum=1.0, maximum=64.0)
    count: int | None = option(None, help="or how many each layer has then", minimum=2)
    seed: int = option(0, help="which neurons are copied", minimum=0)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        parts = neurons(patient)
        mine = parts_among(parts, self.targets, "neurons", "widen knows how to copy")
        refuse_sealed(patient, mine)
        left = {part: self._count(part) for part in mine}
        refuse_unlike(parts, left)
        yield from Widening(patient, left, self.seed).edits()
        yield from config_edits(patient, parts, left)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """How large the neurons are, from the smallest on: how much a copy can take over."""
        mine = parts_among(neurons(patient), self.targets, "neurons", "widen knows how to copy")
        lines = {}
        for part in mine[:_LINES]:
            out = patient.tensor(part.cuts[-1].path).parameter.detach().double()
            sizes = out.norm(dim=1 - part.cuts[-1].dim).sort().values.tolist()
            last = max(1, len(sizes) - 1)
            lines[part.path] = tuple((place / last, size) for place, size in enumerate(sizes))
        of = f", {_LINES} of {len(mine)} layers" if len(mine) > _LINES else ""
        return Curves(
            title=f"Size of what each neuron leads out{of}",
            lines=lines,
            x="part of the neurons, the smallest first",
            y="norm of its outgoing weights",
        )

    def _count(self, part: Part) -> int:
        count = self.count or -int(-part.count * self.factor // 1)
        if count <= part.count:
            raise SurgeryError(
                f"has {part.count} neurons already",
                path=part.path,
                got=f"{count} to be had",
                expected=f"more than {part.count}",
                hint="`narrow`, which takes some away" if count < part.count else None,
            )
        return count
