"""Module sensitivity: how much the loss changes where data goes past a module."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.advise.gates import gated, passed_by, slopes
from surgery.advise.loss import Loss
from surgery.evaluate.blocks import block_paths
from surgery.evaluate.data.examples import Batch
from surgery.fields import option
from surgery.precision import on_cpu


@adviser(
    title="Module sensitivity",
    source="Molchanov et al. 2017, arXiv:1611.06440; the gate on a block is FoldGPT's, arXiv:2407.00928",
    reads="gradients",
    cost="one forward and one backward pass over the examples; measured: a forward pass for each module",
    unit="nats",
)
class ModuleSensitivity(Adviser):
    """By how much the loss of an example changes where data goes past the module, to first order.

    `taylor`: E |∂L/∂g| of a gate g = 1 on x + g (f(x) − x) of a block that keeps the shape of its input, and
    on g f(x) of any other module. `measured`: E L without less L with, nothing approximated.
    """

    how: Literal["taylor", "measured"] = option("taylor", help="first order, or each tried")

    def score(self, case: Case) -> Advice:
        loss, blocks = Loss(case), block_paths(case.model)
        total = torch.zeros(len(case.paths), dtype=torch.float64)

        def slope(batch: Batch) -> Tensor:
            with torch.enable_grad(), gated(case.model, case.paths, len(batch), blocks=blocks) as gates:
                by_path = slopes(loss.each(batch).sum(), gates)
            sums = [by_path[path].abs().sum() if path in by_path else nothing for path in case.paths]
            return torch.stack([on_cpu(value) for value in sums])

        def without(batch: Batch) -> Tensor:
            base, found = loss.each(batch).sum(), []
            for path in case.paths:
                with passed_by(case.model, path, block=path in blocks):
                    found.append(loss.each(batch).sum() - base)
            return on_cpu(torch.stack(found))

        nothing = torch.tensor(torch.nan)
        for sums, _ in case.over(slope if self.how == "taylor" else without, loss.room):
            total += sums
        return case.advice(self, case.paths, total / case.seen)
