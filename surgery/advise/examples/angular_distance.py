"""Angular distance over n layers: how far a run of blocks turns what goes through it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.cosines import cosines
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.passing import last_rows, passes
from surgery.fields import option
from surgery.precision import on_cpu


@adviser(
    title="Angular distance",
    source="Gromov et al. 2024, arXiv:2403.17887",
    reads="examples",
    cost="one forward pass over the examples",
)
class AngularDistance(Adviser):
    """arccos(cos(x before, x behind)) / π over each run of `n` blocks, at the last token: 0 to 1.

    A run is named by its first block and stays within its list. Where examples are no token windows, all
    places count.
    """

    n: int = option(1, help="blocks in a run", minimum=1)

    def score(self, case: Case) -> Advice:
        runs = [run for run in _runs(case.blocks, self.n) if case.chosen is None or run[0] in case.chosen]
        if not runs:
            raise SurgeryError(
                "no list has so many blocks", path=f"{self.name}.n", got=self.n, hint="a smaller `n`"
            )
        starts, ends = {run[0] for run in runs}, {run[-1] for run in runs}
        sums = {run: torch.zeros(2, dtype=torch.float64) for run in runs}

        def turned(batch: Batch) -> dict[tuple[str, ...], Tensor]:
            before: dict[str, Tensor] = {}
            behind: dict[str, Tensor] = {}

            def look(path: str, taken: Tensor, gave: Tensor) -> None:
                if path in starts:
                    before[path] = last_rows(taken, batch)
                if path in ends:
                    behind[path] = last_rows(gave, batch)

            with passes(case.model, sorted(starts | ends, key=case.blocks.index), look):
                case.runner.passed(batch, whole=False)
            found = {}
            for run in runs:
                x, y = before.get(run[0]), behind.get(run[-1])
                if x is not None and y is not None and x.shape == y.shape:
                    angles = torch.arccos(cosines(x, y)) / torch.pi
                    found[run] = torch.stack([angles.sum(), angles.new_tensor(len(angles))])
            return found

        for found, _ in case.over(turned):
            for run, pair in found.items():
                sums[run] += on_cpu(pair)
        numbers = [float(total / count) for total, count in sums.values()]
        notes = () if self.n == 1 else (f"Each from the block that is named over {self.n} blocks.",)
        return case.advice(self, [run[0] for run in runs], numbers, notes=notes)


def _runs(blocks: tuple[str, ...], n: int) -> list[tuple[str, ...]]:
    """Every `n` neighbours of one list."""
    found = []
    for start in range(len(blocks) - n + 1):
        run = blocks[start : start + n]
        if all(a.rpartition(".")[0] == b.rpartition(".")[0] for a, b in pairwise(run)):
            found.append(run)
    return found
