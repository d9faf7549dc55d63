"""NASWOT: how well a block's activations tell examples apart, without training anything."""

from __future__ import annotations

import torch
from torch import Tensor

from surgery.advise.activations import activations
from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch
from surgery.precision import on_cpu

JITTER = 1e-6
"""Added to the diagonal, so that examples which cannot be told apart give a number."""


@adviser(
    title="NASWOT",
    source="Mellor et al. 2021, arXiv:2006.04647; block by block is original",
    reads="examples",
    cost="one forward pass over the examples",
    unit="nats",
)
class Naswot(Adviser):
    """The logarithm of |K| of a block's activations, K = 1 − (Hamming distance of codes) / (their length).

    An example's code says which activations are above zero. The paper scores a whole network by the sum of
    its layers' kernels; here each block has its own, mean over the batches. Low: its activations hardly tell
    examples apart. Per example in the batch, so that batches of other sizes compare.
    """

    def score(self, case: Case) -> Advice:
        sums: dict[str, list[float]] = {}

        def told_apart(batch: Batch) -> dict[str, Tensor]:
            kernels: dict[str, list[Tensor]] = {}

            def heard(path: str, value: Tensor) -> None:
                if len(value) % len(batch) == 0:
                    code = (value > 0).view(len(batch), -1).float()
                    alike = code @ code.T + (1 - code) @ (1 - code).T
                    kernels.setdefault(path, []).append(
                        torch.stack([alike, torch.full_like(alike, code.shape[1])])
                    )

            with activations(case.model, case.paths, heard):
                case.runner.passed(batch, whole=False)
            return {path: on_cpu(torch.stack(parts)).sum(0) for path, parts in kernels.items()}

        for found, batch in case.over(told_apart):
            for path, (alike, length) in found.items():
                if len(batch) > 1:
                    sums.setdefault(path, []).append(log_determinant(alike / length) / len(batch))
        if not sums:
            raise SurgeryError("there are no activation functions here that are known, or a single example")
        numbers = [sum(sums[path]) / len(sums[path]) if path in sums else torch.nan for path in case.paths]
        return case.advice(self, case.paths, numbers)


def log_determinant(kernel: Tensor) -> float:
    """The logarithm of |K + ε| of a kernel (n, n) float64."""
    return float(torch.linalg.slogdet(kernel + JITTER * torch.eye(len(kernel), dtype=kernel.dtype))[1])
