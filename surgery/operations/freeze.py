"""Freeze parameters, or let them be trained again."""

from __future__ import annotations

from collections.abc import Iterator

from surgery.edits import Edit, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Alias
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Freeze", group="adjust", source="original")
class Freeze(Operation):
    """The parameters of the targets do not require gradients any more, or do again; values stay.

    Fields: `targets`: modules, of which every floating-point parameter is taken, a tied one at all its
    paths; `frozen`: false lets them be trained again. Each is a new Parameter around the same tensor: the
    opened model keeps its flags. Refused: targets where nothing changes.
    """

    targets: Targets = option(help="the modules whose parameters are frozen")
    frozen: bool = option(True, help="without it they are trained again")

    def keeps_structure(self) -> bool:
        return True

    def plan(self, patient: Patient) -> Iterator[Edit]:
        found = {
            id(lazy.parameter): lazy
            for path in self.targets.paths
            for _, lazy in patient.tensors(path)
            if lazy.dtype.is_floating_point and lazy.parameter.requires_grad == self.frozen
        }
        if not found:
            raise SurgeryError(
                "freeze would change nothing",
                path=self.targets.select,
                got=f"no parameter that is not {'frozen' if self.frozen else 'trained'} already",
                hint=f"`frozen={not self.frozen}`, or other targets",
            )
        sites = patient.sites()
        for key, lazy in found.items():
            same = Alias.of(lazy)
            for place in sites[key]:
                yield SetTensor(place, same, trainable=not self.frozen)
