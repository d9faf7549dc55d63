"""Outliers: the largest number, measured in deviations."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.passing import passes, rows
from surgery.fields import option


@adviser(
    title="Outliers",
    source="Dettmers et al. 2022 (LLM.int8()), arXiv:2208.07339",
    reads="examples",
    cost="one forward pass over the examples; of weights, these once",
    unit="σ",
    edit="cast",
)
class Outliers(Adviser):
    """max |x| / σ(x) of what a module gives, or of its weight matrices: far outliers lose most in few bits.

    `whose` numbers: of the `outputs`, over real tokens; or of the `weights`, of the matrix at the path that
    has the furthest.
    """

    whose: Literal["outputs", "weights"] = option("outputs", help="whose numbers")

    def score(self, case: Case) -> Advice:
        return self._weights(case) if self.whose == "weights" else self._outputs(case)

    def _weights(self, case: Case) -> Advice:
        numbers = []
        for done, path in enumerate(case.paths):
            held = (value.detach() for value in case.parameters(path).values())
            found = [float(_deviations(_moments(value))) for value in held if value.dim() > 1]
            numbers.append(max(found, default=torch.nan))
            case.step(done + 1, len(case.paths), path)
        return case.advice(self, case.paths, numbers)

    def _outputs(self, case: Case) -> Advice:
        known: dict[str, Tensor] = {}

        def spread(batch: Batch) -> list[tuple[str, Tensor]]:
            found: list[tuple[str, Tensor]] = []

            def look(path: str, taken: Tensor, gave: Tensor) -> None:
                found.append((path, _moments(rows(gave, batch))))

            with passes(case.model, case.paths, look):
                case.runner.passed(batch, whole=False)
            return found

        for found, _ in case.over(spread):
            for path, more in found:
                held = known.get(path)
                known[path] = more if held is None else _joined(held, more)
        numbers = [float(_deviations(known[path])) if path in known else torch.nan for path in case.paths]
        return case.advice(self, case.paths, numbers)


def _moments(values: Tensor) -> Tensor:
    """The largest |x|, Σx, Σx² and how many, (4,) float64 on the CPU."""
    wide = values.detach().float()
    found = [wide.abs().amax(), wide.sum(), wide.square().sum()]
    return torch.tensor([*(float(item) for item in found), values.numel()], dtype=torch.float64)


def _joined(ours: Tensor, theirs: Tensor) -> Tensor:
    return torch.cat([torch.maximum(ours[:1], theirs[:1]), ours[1:] + theirs[1:]])


def _deviations(moments: Tensor) -> Tensor:
    largest, total, squares, count = moments
    found: Tensor = largest / (squares / count - (total / count).square()).clamp_min(0).sqrt()
    return found
