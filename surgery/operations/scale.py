"""Multiply weights by a number."""

from __future__ import annotations

from collections.abc import Iterator

from surgery.edits import Edit, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Schedule, Targets, option
from surgery.lazy import recipe
from surgery.merging.depths import Depths, at
from surgery.merging.only import is_meant
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Scale", group="adjust", source="original")
class Scale(Operation):
    """Each parameter of the targets is multiplied by `factor`, in float32 or wider.

    A tied one is multiplied once, at all its paths. A list of factors goes from the first block to the last.
    `only` names tensors by parts of their paths, as in all merges. Refused: targets without such parameters.
    """

    targets: Targets = option(help="the modules whose parameters are multiplied")
    factor: Schedule = option(1.0, help="the number; a list goes over depth")
    only: str = option("", help="only tensors whose path contains these words, and none with ! before it")

    def keeps_structure(self) -> bool:
        return True

    def plan(self, patient: Patient) -> Iterator[Edit]:
        depths, sites, seen = Depths(patient), patient.sites(), set[int]()
        for path in self.targets.paths:
            for _, lazy in patient.tensors(path):
                key = id(lazy.parameter)
                if key not in seen and lazy.dtype.is_floating_point and is_meant(sites[key], self.only):
                    seen.add(key)
                    factor = at(self.factor, depths.of(sites[key][0]))
                    scaled = recipe("weighted_sum", lazy, weights=(factor,))
                    for place in sites[key]:
                        yield SetTensor(place, scaled)
        if not seen:
            got = f"only {self.only!r}" if self.only else None
            raise SurgeryError("has no parameter to scale", path=self.targets.select, got=got)
