"""Weight norm: how large the weights of a place are."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.fields import option


@adviser(
    title="Weight norm",
    source="Han et al. 2015, arXiv:1506.02626",
    reads="weights",
    cost="the weights once",
)
class WeightNorm(Adviser):
    """The `norm` of all weights at or below a place: √Σw² (l2), Σ|w| (l1), or √(mean w²) (rms)."""

    norm: Literal["l2", "l1", "rms"] = option("l2", help="which")

    def score(self, case: Case) -> Advice:
        numbers = []
        for done, path in enumerate(case.paths):
            held = [value.detach() for value in case.parameters(path).values()]
            numbers.append(self._norm(held) if held else torch.nan)
            case.step(done + 1, len(case.paths), path)
        return case.advice(self, case.paths, numbers)

    def _norm(self, held: list[Tensor]) -> float:
        order = 1 if self.norm == "l1" else 2
        each = torch.stack(
            [torch.linalg.vector_norm(value, order, dtype=torch.float32).cpu() for value in held]
        )
        total = float(torch.linalg.vector_norm(each.double(), order))
        return total / sum(value.numel() for value in held) ** 0.5 if self.norm == "rms" else total
