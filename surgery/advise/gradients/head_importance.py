"""Head importance: how much the loss hangs on each attention head."""

from __future__ import annotations

import torch
from torch import Tensor

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.advise.gates import gated_units, slopes
from surgery.advise.loss import Loss
from surgery.advise.units import items_of, outlets, some_shared
from surgery.evaluate.data.examples import Batch
from surgery.precision import on_cpu


@adviser(
    title="Head importance",
    source="Michel et al. 2019, arXiv:1905.10650",
    reads="gradients",
    cost="one forward and one backward pass over the examples",
    unit="nats",
    edit="narrow",
)
class HeadImportance(Adviser):
    """E |∂L/∂ξ| of a gate ξ = 1 on what each head hands to the layer behind it.

    The mean is over examples; L is the loss of one. It is not normed by layer. Heads are those that `narrow`
    takes out: query heads that share keys and values are one.
    """

    def score(self, case: Case) -> Advice:
        found, loss = outlets(case.patient, case.chosen), Loss(case)
        total = torch.zeros(sum(outlet.count for outlet in found), dtype=torch.float64)

        def slope(batch: Batch) -> Tensor:
            with torch.enable_grad(), gated_units(case.model, found, len(batch)) as gates:
                by_layer = slopes(loss.each(batch).sum(), gates)
            each = [by_layer[outlet.linear].abs().sum(0) for outlet in found]
            return on_cpu(torch.cat(each))

        for sums, _ in case.over(slope, loss.room):
            total += sums
        items, notes = items_of(found), some_shared(found)
        return case.advice(self, items, total / case.seen, part="head", notes=notes)
