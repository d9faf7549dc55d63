"""Detach adapters."""

from __future__ import annotations

from collections.abc import Iterator

from surgery.adapters.adapted import adapted, base_of
from surgery.edits import Edit, SetModule
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Detach", group="attach", source="original")
class Detach(Operation):
    """The adapters under the targets are gone; the modules compute what they did before attaching.

    Fields: `targets`: adapted modules or anything around them. Refused: targets without adapters.
    """

    targets: Targets = option("**", help="adapted modules, or what contains them")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for path, _ in adapted(patient, self.targets):
            yield SetModule(path, base_of)
