"""Git Re-Basin: another model's units in this one's order, then the mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

from surgery.alignment.activations import correlations
from surgery.alignment.groups import groups
from surgery.alignment.matching import Pair, as_they_are, likeness, match, pair
from surgery.alignment.reordering import in_order, ordered_at
from surgery.alignment.units import Units, frozen, labels, thawed
from surgery.charts.kinds import Chart, Heat
from surgery.errors import SurgeryError
from surgery.fields import Found, Schedule, option
from surgery.lazy import Known, Lazy, recipe
from surgery.measures import Measured
from surgery.merging import Here, Merging
from surgery.merging.merging import Put, matched, merged_paths
from surgery.merging.whole import parent_model
from surgery.model import Patient, private_shell
from surgery.operation import operation
from surgery.recipes import compute


@operation(title="Re-Basin", group="merge", source="Ainsworth et al. 2023, arXiv:2209.04836")
class Rebasin(Merging):
    """Each tensor is (1 − t) θ₀ + t P(θ₁): P brings the parent's units into this model's order.

    Units are neurons, heads by what shares their keys, channels and the width of residual streams, as in
    `permute`: in another order the parent computes the same. By `weights`, P makes Σ ⟨θ₀, P(θ₁)⟩ over all
    tensors large, group by group by linear assignment until none gains, from two starts; `seed` draws whose
    turn it is. By `activations`, both models run the session's `data`, and each group's order has the largest
    sum of correlations of what the units hold; one that no layer reads is matched by weights. `measured`
    holds the orders then, (count,) int64 by the name of a group, so that a replay searches nothing. A group
    is moved if all its tensors are merged. `t` may go over depth.

    Running statistics are averaged in the same order; `recalibrate` afterwards. Refused: what other merges
    refuse, such as a parent of another architecture with the path at which they part; a model without units
    that may change places.
    """

    most = 1

    t: Schedule = option(0.5, help="0 is this model, 1 the parent in its order; a list goes over depth")
    by: Literal["weights", "activations"] = option("weights", help="what shows that units are alike")
    seed: int = option(0, help="draws in which order the groups take turns", minimum=0)
    found: Found | None = option(None, help="the units that hang together, as the first run showed")
    measured: Measured | None = option(None, help="the orders, once they were found")

    def resolved(self, patient: Patient) -> Rebasin:
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
                "rebasin was recorded on units that hang together in another way than here",
                path=step.targets.select,
                hint="the model the script was made on, or making the step anew",
            )
        return replace(step, **changes)

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, torch.Tensor]:
        mine = self._groups(patient)
        return self._match(patient, data, mine, self._pairs(patient, mine))

    def put(self, patient: Patient) -> Put:
        indices = {group: self._index(group) for group in self._groups(patient)}
        return lambda places, tensor: in_order(tensor, ordered_at(indices, places))

    def merged(self, here: Here) -> Lazy:
        t = here.value(self.t)
        return recipe("weighted_sum", here.base, *here.others, weights=(1 - t, t))

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        mine = self._groups(patient)
        pairs = self._pairs(patient, mine)
        orders = as_they_are(mine), self._match(patient, data, mine, pairs)
        return Heat(
            title="How like this model's units the parent's are",
            rows=("as it is", "aligned"),
            columns=labels(mine),
            values=tuple(
                tuple(float(likeness(group, pairs, order).mean()) for group in mine) for order in orders
            ),
            unit="mean cosine",
        )

    def _match(
        self, patient: Patient, data: Sequence[Any], mine: list[Units], pairs: list[Pair]
    ) -> dict[str, torch.Tensor]:
        given = None
        if self.by == "activations":
            shell = private_shell(patient.root).eval()
            given = correlations(mine, shell, parent_model(patient, self).eval(), data)
        return match(mine, pairs, self.seed, given).orders

    def _groups(self, patient: Patient) -> list[Units]:
        found = self.found or self.resolved(patient).found
        assert found is not None
        return thawed(patient, found, self.name)

    def _index(self, group: Units) -> Lazy:
        if self.measured is None:  # a preview: where a value comes from is not known, and nothing hangs on it
            return Known(shape=(group.count,), dtype=torch.int64, tensor=torch.arange(group.count))
        index = self.measured.lazy(group.name)
        if index.shape != (group.count,):
            raise SurgeryError(
                "the order was found for another number of units",
                path=group.path,
                got=index.shape[0],
                expected=group.count,
            )
        return index

    def _pairs(self, patient: Patient, mine: Sequence[Units]) -> list[Pair]:
        """This model's tensors with the parent's, where they lie on the CPU."""
        if len(self.parents) != 1:
            raise SurgeryError("rebasin merges with one parent", got=len(self.parents))
        found = []
        for paths, base, (other,) in matched(patient, self.targets, self.parents, self.only, self.vocabulary):
            made = pair(compute(base, {}).cpu(), compute(other, {}).cpu(), mine, paths)
            found += [made] if made.axes else []
        return found


def _lies_in(patient: Patient, group: Units, merged: set[str]) -> bool:
    """Whether all parameters of a group are among those."""
    return all(cut.path in merged or patient.buffer(cut.path) is not None for cut in group.cuts)
