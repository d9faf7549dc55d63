"""Fold adapters into the weights they adapt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from surgery.adapters.figures import sizes
from surgery.adapters.folding import fold
from surgery.adapters.stacks import adapted, named
from surgery.charts import Chart
from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Fold in", group="attach", source="LoRA: Hu et al. 2021, arXiv:2106.09685, section 4.1")
class Fold(Operation):
    """The adapters under the targets are part of the weights: W + (alpha / rank) · B A, no adapter left.

    Fields: `targets`: adapted modules or anything around them; `called`: names of adapters, divided by
    commas, all active ones if empty. The output agrees to rounding. An adapter that is switched off stays.
    Where one weight is at several paths, all get one weight again if all carry the same adapter (`ties` of
    `attach`). Refused: adapters that are no change of a weight (bottleneck, mixtures, gates), one around
    another that stays and does not add up with it, and a weight that is tied to a path where it would not
    change in the same way.
    """

    targets: Targets = option("**", help="adapted modules, or what contains them")
    called: str = option(
        "", help="names of adapters, divided by commas; all active ones if empty", later=True
    )

    def plan(self, patient: Patient) -> Iterator[Edit]:
        found = adapted(patient, self.targets, named(self.called))
        chosen = [(path, adapter) for path, adapter in found if adapter.active]
        if not chosen:
            raise SurgeryError(
                "none of these adapters is active, so there is nothing to fold in",
                path=self.targets.select,
                hint="`activate` first, or `detach`",
            )
        yield from fold(patient, chosen)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How much each adapter changes the weight it adapts; those that are active are marked."""
        return sizes(patient, adapted(patient, self.targets, named(self.called)))
