"""Block influence: how far a block turns what goes through it."""

from __future__ import annotations

import torch
from torch import Tensor

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.cosines import cosines
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.passing import passes, rows
from surgery.precision import on_cpu


@adviser(
    title="Block influence",
    source="Men et al. 2024 (ShortGPT), arXiv:2403.03853",
    reads="examples",
    cost="one forward pass over the examples",
)
class BlockInfluence(Adviser):
    """1 − E cos(x, f(x)), by how much each block turns its input: 0 for none, 2 for its opposite.

    The mean is over real tokens, or over the places of images. It is blind to scale. What changes the width
    of its input is not scored.
    """

    def score(self, case: Case) -> Advice:
        sums: dict[str, Tensor] = {path: torch.zeros(2, dtype=torch.float64) for path in case.paths}

        def turned(batch: Batch) -> list[tuple[str, Tensor]]:
            found: list[tuple[str, Tensor]] = []

            def look(path: str, taken: Tensor, gave: Tensor) -> None:
                if taken.shape == gave.shape:
                    near = cosines(rows(taken, batch), rows(gave, batch))
                    found.append((path, torch.stack([(1 - near).sum(), near.new_tensor(len(near))])))

            with passes(case.model, case.paths, look):
                case.runner.passed(batch, whole=False)
            return found

        for found, _ in case.over(turned):
            for path, pair in found:
                sums[path] += on_cpu(pair)
        return case.advice(self, case.paths, [float(total / count) for total, count in sums.values()])
