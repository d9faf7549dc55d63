"""What merges have in common that bring the parent's units to this model's first."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch

from surgery.alignment.carrying import Carrying
from surgery.alignment.counterpart import Counterpart
from surgery.alignment.groups import groups
from surgery.alignment.matching import Pair, Plans, as_they_are, likeness
from surgery.alignment.units import Units, frozen, labels, thawed
from surgery.charts.kinds import Chart, Heat
from surgery.errors import SurgeryError
from surgery.fields import Found, Schedule
from surgery.lazy import Lazy, recipe
from surgery.measures import Measured
from surgery.merging import Here, Merging
from surgery.merging.merging import Put, merged_paths
from surgery.model import Patient
from surgery.recipes import compute


class Aligning(Merging):
    """An operation that merges with one parent, the units of which have plans: orders or masses.

    What is declared here is a field of every operation made from it, with help of its own. `found` holds the
    groups, `measured` their plans.
    """

    most = 1
    rows: ClassVar[tuple[str, str]]
    """What the chart calls the parent before and after."""
    sizes: ClassVar[bool] = False
    """Whether the parent may be wider or narrower than this model."""

    t: Schedule
    found: Found | None
    measured: Measured | None

    @abstractmethod
    def plans(
        self, patient: Patient, data: Sequence[Any], other: Counterpart, pairs: Sequence[Pair]
    ) -> Plans:
        """The plan of each group."""

    @abstractmethod
    def plan_of(self, group: Units, count: int) -> Lazy:
        """The plan of a group that has `count` units in the parent, for recipes."""

    def resolved(self, patient: Patient) -> Self:
        """Also what hangs together: it is found with example inputs, and without them kept."""
        step = super().resolved(patient)
        if step.found is not None and patient.inputs is None:
            return step
        merged = merged_paths(patient, step.targets, step.only)
        mine = [group for group in groups(patient) if not group.refused and _lies_in(patient, group, merged)]
        if not mine:
            raise SurgeryError(
                "holds no group of units as a whole, and a part of one cannot be aligned",
                path=step.targets.select,
                hint="the whole model as target, or `soup`",
            )
        changes: dict[str, Any] = {"found": frozen(mine)}
        if step.found not in (None, changes["found"]):
            raise SurgeryError(
                f"{self.name} was recorded on units that hang together in another way than here",
                path=step.targets.select,
                hint="the model the script was made on, or making the step anew",
            )
        return replace(step, **changes)

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, torch.Tensor]:
        other = self.counterpart(patient)
        return self.plans(patient, data, other, self._met(patient, other))

    def put(self, patient: Patient) -> Put:
        other = self.counterpart(patient)
        plans = {group.name: self.plan_of(group, other.counts[group.name]) for group in other.groups}
        return Carrying(other, plans, sizes=self.sizes)

    def merged(self, here: Here) -> Lazy:
        t = here.value(self.t)
        return recipe("weighted_sum", here.base, *here.others, weights=(1 - t, t))

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How like the parent's units are to this model's, group by group, before and after."""
        other = self.counterpart(patient)
        pairs = self._met(patient, other)
        both = as_they_are(other), self.plans(patient, data, other, pairs)
        return Heat(
            title="How like this model's units the parent's are",
            rows=self.rows,
            columns=labels(list(other.groups)),
            values=tuple(
                tuple(float(likeness(group, pairs, plans).mean()) for group in other.groups) for plans in both
            ),
            unit="mean cosine",
        )

    def counterpart(self, patient: Patient) -> Counterpart:
        """The parent's units: as many as here, unless overridden."""
        return Counterpart.alike(patient, self.units(patient))

    def units(self, patient: Patient) -> list[Units]:
        """The groups that are aligned."""
        found = self.found or self.resolved(patient).found
        assert found is not None
        return thawed(patient, found, self.name)

    def _met(self, patient: Patient, other: Counterpart) -> list[Pair]:
        """This model's tensors with the parent's, where they lie on the CPU."""
        if len(self.parents) != 1:
            raise SurgeryError(f"{self.name} merges with one parent", got=len(self.parents))
        found = []
        for paths, base, (theirs,) in self.pairs(patient, Carrying(other, {}, sizes=self.sizes)):
            along = other.meet(paths)
            if along:
                pair = Pair(compute(base, {}).cpu(), compute(theirs, {}).cpu(), along)
                _refuse_no_numbers(paths[0], pair, self.parents[0].source)
                found.append(pair)
        return found


def _refuse_no_numbers(path: str, pair: Pair, source: str) -> None:
    for tensor, owner in ((pair.mine, "this model"), (pair.theirs, source)):
        if not bool(tensor.isfinite().all()):
            raise SurgeryError(
                "holds numbers that are not finite, so that no unit is like another", path=path, got=owner
            )


def _lies_in(patient: Patient, group: Units, merged: set[str]) -> bool:
    """Whether all parameters of a group are among those."""
    return all(cut.path in merged or patient.buffer(cut.path) is not None for cut in group.cuts)
