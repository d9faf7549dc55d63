"""What an operation has that reads the tensors of further models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

from surgery.fields import Found, Parent, Targets
from surgery.merging.vocabularies import Vocabulary, digests
from surgery.model import Patient
from surgery.operation import Operation


class WithParents(Operation):
    """An operation with `parents`, whose rows of tokens are the same as this model's or matched.

    What is declared here is a field of every operation made from it, with help of its own.
    """

    targets: Targets
    parents: tuple[Parent, ...]
    only: str
    vocabulary: Vocabulary
    tokens: Found | None

    def resolved(self, patient: Patient) -> Self:
        """Of vocabularies that are matched also their digests: they must be those it was recorded with."""
        step = super().resolved(patient)
        changes: dict[str, Any] = {"tokens": digests(patient, step)}
        return replace(step, **changes)

    def by_tokens(self) -> Self:
        """The step with rows of embeddings matched by their tokens."""
        changes: dict[str, Any] = {"vocabulary": "matched"}
        return replace(self, **changes)
