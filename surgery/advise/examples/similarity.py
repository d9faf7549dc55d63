"""Similarity of what blocks, or heads, give: by CKA, or by cosine."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from surgery.advise.advice import Advice, Item
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.advise.units import items_of, outlets, some_shared
from surgery.cosines import cosines, gram_cosines
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.passing import passes, rows
from surgery.fields import option
from surgery.precision import wide

MOST = 512
"""Items that are compared with one another; more would be a matrix that nobody reads."""

Outputs = dict[Item, Tensor]
"""Vectors (rows, width) that each item gave, the rows of all items alike."""


@adviser(
    title="Similarity",
    source="Kornblith et al. 2019 (CKA), arXiv:1905.00414",
    reads="examples",
    cost="one forward pass over the examples",
    edit="tie",
    low_is_cheap=False,
)
class Similarity(Adviser):
    """How alike what blocks or heads give is, each with each other: 1 for what differs by nothing.

    `measure`: linear CKA, ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of centred outputs, does not see rotation and scale;
    `cosine` is the mean cosine of the outputs themselves, and needs them equally wide. Rows are tokens where
    all outputs have these in common, else examples; `rows` of them at the most are kept.
    """

    between: Literal["blocks", "heads"] = option("blocks", help="what is compared")
    measure: Literal["cka", "cosine"] = option("cka", help="how")
    rows: int = option(1024, help="tokens, or examples, that are looked at", minimum=2)

    def score(self, case: Case) -> Advice:
        items, heard = (self._blocks if self.between == "blocks" else self._heads)(case)
        if not 1 < len(items) <= MOST:
            raise SurgeryError(
                f"{self.between} are compared with one another",
                got=f"{len(items)} of them",
                expected=f"2 to {MOST}",
                hint="others: `select`",
            )
        matrix = self._compared(items, heard)
        if self.between == "blocks":
            return case.advice(self, items, (), matrix=matrix)
        notes = some_shared(outlets(case.patient, case.chosen))
        return case.advice(self, items, (), matrix=matrix, part="head", notes=notes)

    # What they give ---------------------------------------------------------------------------

    def _blocks(self, case: Case) -> tuple[list[Item], Outputs]:
        items = {path: Item(path) for path in case.paths}

        def gave(batch: Batch) -> dict[Item, Tensor]:
            found: dict[Item, Tensor] = {}

            def look(path: str, taken: Tensor, given: Tensor) -> None:
                if len(given) == len(batch):
                    found[items[path]] = given

            with passes(case.model, case.paths, look):
                case.runner.passed(batch, whole=False)
            return _in_rows(found, batch, self.rows)

        return list(items.values()), self._heard(case, gave)

    def _heads(self, case: Case) -> tuple[list[Item], Outputs]:
        known = outlets(case.patient, case.chosen)
        by_linear = {outlet.linear: outlet for outlet in known}

        def gave(batch: Batch) -> dict[Item, Tensor]:
            found: dict[Item, Tensor] = {}

            def look(path: str, taken: Tensor, given: Tensor) -> None:
                outlet = by_linear[path]
                apart = outlet.apart(taken)
                for index in range(outlet.count if len(taken) == len(batch) else 0):
                    found[Item(outlet.path, index)] = apart[..., index, :]

            with passes(case.model, by_linear, look):
                case.runner.passed(batch, whole=False)
            return _in_rows(found, batch, self.rows)

        return items_of(known), self._heard(case, gave)

    def _heard(self, case: Case, gave: object) -> Outputs:
        parts: dict[Item, list[Tensor]] = {}
        for found, _ in case.over(gave):  # type: ignore[arg-type, var-annotated]
            for item, vectors in found.items():
                parts.setdefault(item, []).append(vectors)
            if parts and sum(map(len, next(iter(parts.values())))) >= self.rows:
                break
        whole = {item: torch.cat(vectors)[: self.rows] for item, vectors in parts.items()}
        # One that was not called for every batch, such as an expert, has other rows than the rest.
        most = max(map(len, whole.values()), default=0)
        return {item: vectors for item, vectors in whole.items() if len(vectors) == most}

    # How alike --------------------------------------------------------------------------------

    def _compared(self, items: list[Item], heard: Outputs) -> Tensor:
        matrix = torch.full((len(items), len(items)), torch.nan, dtype=torch.float64)
        known = [place for place, item in enumerate(items) if item in heard]
        if self.measure == "cka" and known:
            grams = torch.stack([_centred_gram(heard[items[place]]) for place in known]).flatten(1)
            matrix[torch.tensor(known).unsqueeze(1), torch.tensor(known)] = gram_cosines(
                grams @ grams.T
            ).cpu()
            return matrix
        for place in known:
            for other in known:
                ours, theirs = heard[items[place]], heard[items[other]]
                if ours.shape == theirs.shape:
                    matrix[place, other] = float(cosines(ours, theirs).mean())
        return matrix


def _in_rows(found: dict[Item, Tensor], batch: Batch, most: int) -> dict[Item, Tensor]:
    """Vectors of each item, at most `most`, evenly out of the batch; alike in number for all items."""
    shapes = {tuple(given.shape[:2]) for given in found.values() if given.dim() == 3}
    by_token = len(shapes) == 1 and all(given.dim() == 3 for given in found.values())
    kept: dict[Item, Tensor] = {}
    for item, given in found.items():
        vectors = rows(given, batch) if by_token else wide(given).flatten(1)
        share = max(1, -(-len(vectors) // most))
        kept[item] = vectors[::share]
    return kept


def _centred_gram(vectors: Tensor) -> Tensor:
    """X Xᵀ of centred X, (rows, rows) float64 on the CPU."""
    centred = vectors - vectors.mean(0)
    return (centred @ centred.T).cpu()
