"""Weight similarity: which places hold nearly the same weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.cosines import gram_cosines
from surgery.errors import SurgeryError
from surgery.precision import on_cpu, wide

PIECE = 1 << 20
"""Numbers of each place that are looked at at a time."""


@adviser(
    title="Weight similarity",
    source="original; tie candidates after Cao et al. 2024 (DirectShare), arXiv:2402.11819",
    reads="weights",
    cost="the weights once",
    edit="tie",
    low_is_cheap=False,
)
class WeightSimilarity(Adviser):
    """The cosine of the weight matrices of each two places of one shape: 1 where they are equal.

    Vectors, such as biases and the gains of norms, are left out: gains of about 1 are alike everywhere.
    """

    def score(self, case: Case) -> Advice:
        paths = case.paths
        groups: dict[tuple[tuple[str, tuple[int, ...]], ...], list[int]] = {}
        for place, path in enumerate(paths):
            groups.setdefault(_shape(case, path), []).append(place)
        matrix = torch.full((len(paths), len(paths)), torch.nan, dtype=torch.float64)
        alike = [places for shape, places in groups.items() if shape and len(places) > 1]
        if not alike:
            raise SurgeryError(
                "no two of these have weights of one shape", got=", ".join(paths[:3]), hint="others: `select`"
            )
        for done, places in enumerate(alike):
            gram = torch.zeros(len(places), len(places), dtype=torch.float64)
            for piece in _pieces(case, [paths[place] for place in places]):
                gram += on_cpu(piece @ piece.T)
                case.check()
            matrix[torch.tensor(places).unsqueeze(1), torch.tensor(places)] = gram_cosines(gram)
            case.step(done + 1, len(alike), paths[places[0]])
        return case.advice(self, paths, (), matrix=matrix)


def _shape(case: Case, path: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    held = case.parameters(path)
    return tuple((name, tuple(value.shape)) for name, value in held.items() if value.dim() > 1)


def _pieces(case: Case, paths: list[str]) -> Iterator[Tensor]:
    """The matrices of these places side by side, a piece of each at a time, (places, numbers)."""
    held = [case.parameters(path) for path in paths]
    for name, first in held[0].items():
        if first.dim() > 1:
            flat = [of_place[name].detach().reshape(-1) for of_place in held]
            for start in range(0, first.numel(), PIECE):
                piece = torch.stack([value[start : start + PIECE] for value in flat])
                yield wide(piece)
