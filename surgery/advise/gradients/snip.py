"""SNIP: how much the loss hangs on the weights of a place."""

from __future__ import annotations

import torch
from torch import Tensor

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.advise.gradients.saliency import averaged, in_per_cent, per_path, trained
from surgery.advise.loss import Loss
from surgery.evaluate.data.examples import Batch


@adviser(
    title="SNIP",
    source="Lee et al. 2019, arXiv:1810.02340",
    reads="gradients",
    cost="one forward and one backward pass over the examples, and gradients as large as the weights",
    unit="%",
)
class Snip(Adviser):
    """Σ |w ∂L/∂w| over the weights of a place, as a part of the whole model's.

    L is the mean loss of the examples.
    """

    def score(self, case: Case) -> Advice:
        loss = Loss(case)
        held = trained(case)

        def gradients(batch: Batch) -> tuple[Tensor, ...]:
            with torch.enable_grad():
                sums = loss.each(batch).sum()
                return torch.autograd.grad(sums, [*held.values()], allow_unused=True, materialize_grads=True)

        found = averaged(case, loss, held, gradients)
        saliency = {name: (held[name].detach() * slope).abs() for name, slope in found.items()}
        return case.advice(self, case.paths, in_per_cent(per_path(case, held, saliency), saliency))
