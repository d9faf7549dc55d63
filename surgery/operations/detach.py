"""Detach adapters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from surgery.adapters.adapter import base_of
from surgery.adapters.figures import sizes
from surgery.adapters.stacks import adapted, inner_first, named
from surgery.charts import Chart
from surgery.edits import Edit, SetModule
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Detach", group="attach", source="original")
class Detach(Operation):
    """The adapters under the targets are gone; the modules compute what they did before attaching.

    Fields: `targets`: adapted modules or anything around them; `called`: names of adapters, divided by
    commas, all if empty. Refused: targets without adapters, or without one of a name.
    """

    targets: Targets = option("**", help="adapted modules, or what contains them")
    called: str = option("", help="names of adapters, divided by commas; all if empty", later=True)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for path, _ in inner_first(adapted(patient, self.targets, named(self.called))):
            yield SetModule(path, base_of)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How much each adapter changes the weight it adapts; those that are active are marked."""
        return sizes(patient, adapted(patient, self.targets, named(self.called)))
