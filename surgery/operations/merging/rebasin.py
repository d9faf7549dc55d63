"""Git Re-Basin: another model's units in this one's order, then the mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from surgery.alignment.activations import correlations
from surgery.alignment.counterpart import Counterpart
from surgery.alignment.matching import Pair, Plans, match
from surgery.alignment.merging import Aligning
from surgery.alignment.units import Units
from surgery.errors import SurgeryError
from surgery.fields import Found, Schedule, option
from surgery.lazy import Known, Lazy
from surgery.measures import Measured
from surgery.merging.whole import parent_model
from surgery.model import Patient, private_shell
from surgery.operation import operation


@operation(title="Re-Basin", group="merge", source="Ainsworth et al. 2023, arXiv:2209.04836")
class Rebasin(Aligning):
    """Each tensor is (1 − t) θ₀ + t P(θ₁): P brings the parent's units into this model's order.

    Units are neurons, heads by what shares their keys, channels and the width of residual streams, as in
    `permute`: in another order the parent computes the same. By `weights`, P makes Σ ⟨θ₀, P(θ₁)⟩ over all
    tensors large, group by group by linear assignment until none gains, from two starts; `seed` draws whose
    turn it is. By `activations`, both models run the session's `data`, and each group's order has the largest
    sum of correlations of what the units hold; one that no layer reads is matched by weights. `measured`
    holds the orders then, (count,) int64 by the name of a group, so that a replay searches nothing. A group
    is moved if all its tensors are merged. `t` may go over depth.

    Running statistics are averaged in the same order; `recalibrate` afterwards. Refused: what other merges
    refuse, such as a parent of another architecture with the path at which they part, or of other widths (for
    those there is `otfusion`); a model without units that may change places.
    """

    rows = ("as it is", "aligned")

    t: Schedule = option(0.5, help="0 is this model, 1 the parent in its order; a list goes over depth")
    by: Literal["weights", "activations"] = option("weights", help="what shows that units are alike")
    seed: int = option(0, help="draws in which order the groups take turns", minimum=0)
    found: Found | None = option(None, help="the units that hang together, as the first run showed")
    measured: Measured | None = option(None, help="the orders, once they were found")

    def plans(
        self, patient: Patient, data: Sequence[Any], other: Counterpart, pairs: Sequence[Pair]
    ) -> Plans:
        given = None
        if self.by == "activations":
            shell = private_shell(patient.root).eval()
            given = correlations(other, shell, parent_model(patient, self).eval(), data, self.name)
        return match(other, pairs, self.seed, given).plans

    def plan_of(self, group: Units, count: int) -> Lazy:
        if self.measured is None:  # a preview: where a value comes from is not known, and nothing hangs on it
            return Known(shape=(count,), dtype=torch.int64, tensor=torch.arange(count))
        index = self.measured.lazy(group.name)
        if index.shape != (count,):
            raise SurgeryError(
                "the order was found for another number of units",
                path=group.path,
                got=index.shape[0],
                expected=count,
            )
        return index
