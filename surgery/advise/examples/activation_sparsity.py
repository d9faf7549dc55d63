"""Activation sparsity: how much of what activation functions give is next to nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from surgery.advise.activations import activations
from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch
from surgery.fields import option


@adviser(
    title="Activation sparsity",
    source="Li et al. 2022 (The Lazy Neuron Phenomenon), arXiv:2210.06313; the threshold is original",
    reads="examples",
    cost="one forward pass over the examples",
    unit="%",
    edit="narrow",
    low_is_cheap=False,
)
class ActivationSparsity(Adviser):
    """The part of what a block's activation functions give with |a| ≤ `threshold` · √(mean a²).

    ReLU gives zeros; SiLU and GELU give small numbers instead, hence the threshold. Padding counts too. What
    has no activation function in it is not scored.
    """

    threshold: float = option(0.1, help="as a part of the root mean square", minimum=0.0, maximum=1.0)

    def score(self, case: Case) -> Advice:
        sums: dict[str, Tensor] = {}

        def small(batch: Batch) -> list[tuple[str, Tensor]]:
            found: list[tuple[str, Tensor]] = []

            def heard(path: str, value: Tensor) -> None:
                limit = self.threshold * value.float().square().mean().sqrt()
                little = (value.float().abs() <= limit).sum()
                found.append((path, torch.stack([little, little.new_tensor(value.numel())])))

            with activations(case.model, case.paths, heard):
                case.runner.passed(batch, whole=False)
            return found

        for found, _ in case.over(small):
            for path, pair in found:
                sums[path] = sums.get(path, torch.zeros(2, dtype=torch.float64)) + pair.cpu()
        if not sums:
            raise SurgeryError("there are no activation functions here that are known")
        numbers = [
            float(100 * sums[path][0] / sums[path][1]) if path in sums else torch.nan for path in case.paths
        ]
        return case.advice(self, case.paths, numbers)
