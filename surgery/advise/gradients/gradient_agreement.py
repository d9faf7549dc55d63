"""Gradient agreement: whether the ends of a tie want the same of their shared weights."""

from __future__ import annotations

import torch
from torch import Tensor

from surgery.advise.advice import Advice, Item
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.advise.gradients.tied import Tied, site_gradients, tied
from surgery.cosines import cosines
from surgery.errors import SurgeryError
from surgery.precision import wide


@adviser(
    title="Gradient agreement",
    source="original; gradients compared after Yu et al. 2020 (PCGrad), arXiv:2001.06782",
    reads="gradients",
    cost="one forward and one backward pass over the examples",
    edit="untie",
)
class GradientAgreement(Adviser):
    """The cosine of the loss's gradients at the ends of each tie: below 0 they pull against one another.

    The gradient of shared weights is the sum of one for each place that uses them; of more than two places it
    is the least cosine of two. Where they disagree, `untie` gives each weights of its own, at no loss.
    """

    def score(self, case: Case) -> Advice:
        found = chosen_ties(case)
        numbers = [_least(gradients) for gradients in site_gradients(case, found)]
        return case.advice(self, [Item(group.ends[0], None, group.ends[1:]) for group in found], numbers)


def chosen_ties(case: Case) -> list[Tied]:
    """The ties of the case's model, at what was selected; refused if there are none."""
    found = [
        group
        for group in tied(case.model)
        if case.chosen is None or any(_touches(path, case.chosen) for path in group.ends)
    ]
    if not found:
        raise SurgeryError(
            "there are no ties here whose ends could disagree",
            got=type(case.model).__name__,
            hint="`s.tie(…)`, and then ask again",
        )
    return found


def _least(gradients: tuple[Tensor, ...]) -> float:
    """The least cosine of any two; NaN where one is zero."""
    if any(not bool(gradient.any()) for gradient in gradients):
        return float("nan")
    pairs = torch.combinations(torch.arange(len(gradients)), 2).tolist()
    return min(float(cosines(wide(gradients[a])[None], wide(gradients[b])[None])) for a, b in pairs)


def _touches(path: str, chosen: tuple[str, ...]) -> bool:
    return any(path == one or path.startswith(f"{one}.") or one.startswith(f"{path}.") for one in chosen)
