"""OTFusion: another model's units carried to this one's by optimal transport, then the mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from surgery.alignment.activations import correlations
from surgery.alignment.counterpart import Counterpart
from surgery.alignment.matching import Pair, Plans, match, solved_again
from surgery.alignment.merging import Aligning
from surgery.alignment.parents import refuse_other_heads, shapes_of, wide_parent
from surgery.alignment.transport import exact, softened
from surgery.alignment.units import Units
from surgery.errors import SurgeryError
from surgery.fields import Found, Schedule, option
from surgery.lazy import Lazy, recipe
from surgery.measures import Measured
from surgery.model import Patient, private_shell
from surgery.operation import operation


@operation(title="OTFusion", group="merge", source="Singh and Jaggi 2020, arXiv:1910.05653")
class Otfusion(Aligning):
    """Each tensor is (1 − t) θ₀ + t P(θ₁): P carries the units of a parent of other widths to this model's.

    Units are those of `permute`, of which the parent may have more or fewer in any group; the result has this
    model's shapes. Each group of n units here and m there has a plan T, (n, m) with uniform marginals: each
    unit here is the mean of the parent's by T · n, and what reads a unit there is shared out by T · m, so
    that a copy with doubled units comes back as it was. By `weights`, T makes Σ ⟨θ₀, P(θ₁)⟩ over all tensors
    large, group by group by exact transport with squared distances until none gains, from three starts;
    `seed` draws whose turn it is. By `activations`, both models run the session's `data`, and what counts is
    how what the units hold correlates. Of equal widths a plan is an order, as in `rebasin`; a
    `regularization` softens all plans once they were found: the weight of their entropy, in standard
    deviations of what pairs of units gain. `measured` holds the plans by the name of a group: orders (n,)
    int64, masses (k, 3) int64 of unit here, unit there and mass, or (n, m) float64; so a replay needs no POT.
    A group is carried if all its tensors are merged. `t` may go over depth.

    Running statistics are averaged as carried; `recalibrate` afterwards. Refused: what other merges refuse,
    such as a parent of another architecture with the path at which they part; widths that differ where no
    group lies, such as the vocabulary, the entries of a head, what goes in or comes out; a tied tensor that
    reads units at one place and writes them at another, where their number differs.
    """

    rows = ("by place", "carried")
    sizes = True

    t: Schedule = option(0.5, help="0 is this model, 1 the parent as carried; a list goes over depth")
    ground: Literal["weights", "activations"] = option("weights", help="what shows that units are alike")
    regularization: float = option(
        0.0, help="entropy of the plans in standard deviations of gains; 0 for exact plans", minimum=0.0
    )
    seed: int = option(0, help="draws in which order the groups take turns", minimum=0)
    found: Found | None = option(None, help="the units that hang together, as the first run showed")
    measured: Measured | None = option(None, help="the plans, once they were found")

    def counterpart(self, patient: Patient) -> Counterpart:
        """The parent's units, as its shapes tell them."""
        groups = self.units(patient)
        if len(self.parents) != 1:
            raise SurgeryError(f"{self.name} merges with one parent", got=len(self.parents))
        refuse_other_heads(patient, self, groups)
        return Counterpart.of(patient, groups, shapes_of(patient, self, groups))

    def plans(
        self, patient: Patient, data: Sequence[Any], other: Counterpart, pairs: Sequence[Pair]
    ) -> Plans:
        given = None
        if self.ground == "activations":
            shell = private_shell(patient.root).eval()
            parent = wide_parent(patient, self, list(other.groups))
            given = correlations(other, shell, parent, data, self.name)
        found = match(other, pairs, self.seed, given, exact).plans
        if not self.regularization:
            return found
        return solved_again(other, pairs, found, given, softened(self.regularization))

    def plan_of(self, group: Units, count: int) -> Lazy:
        if self.measured is None:
            shape = (group.count,) if group.count == count and not self.regularization else (0, 3)
            return recipe("unmeasured", shape=shape, dtype=torch.int64)
        plan = self.measured.lazy(group.name)
        if not _fits(plan.tensor, group.count, count):
            raise SurgeryError(
                "the plan was found for another number of units",
                path=group.path,
                got=f"{plan.dtype} of {list(plan.shape)}",
                expected=f"{group.count} units here, {count} in the parent",
            )
        return plan


def _fits(plan: torch.Tensor, rows: int, columns: int) -> bool:
    """Whether a plan, as a step keeps it, is one between so many units."""
    if plan.is_floating_point():
        return plan.shape == (rows, columns)
    if plan.dim() == 1:
        return len(plan) == rows == columns
    if plan.shape[1:] != (3,):
        return False
    ends = [(plan[:, side].unique(), size) for side, size in enumerate((rows, columns))]
    return all(torch.equal(found, torch.arange(size)) for found, size in ends) and bool(
        (plan[:, 2] > 0).all()
    )
