"""The parents of a merge, each as a model that can be run: for what is measured of them."""

from __future__ import annotations

from collections.abc import Iterator

from surgery.copies import settled
from surgery.journal import Journal
from surgery.merging.merging import Merging
from surgery.model import Patient, private_shell
from surgery.runs import Live, carry_out


def parents_alone(step: Merging, patient: Patient) -> Iterator[Patient]:
    """Each parent's weights in this model's structure, one after another; an adapter's on this model's."""
    from surgery.operations.merging.soup import Soup  # which is a merge itself

    statistics = "keep" if step.statistics == "refuse" else "parents"
    fields = {"targets": "", "t": 1.0, "statistics": statistics, "vocabulary": step.vocabulary}
    for parent in step.parents:
        shell = private_shell(patient.root)
        alone = Soup.from_fields(fields | {"parents": [parent]})
        carry_out(alone, shell, Journal(), Live(), patient.inputs, patient.tokenizer, signs=False)
        settled()
        yield Patient(shell, patient.inputs, patient.tokenizer)
