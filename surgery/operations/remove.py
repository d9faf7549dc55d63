"""Remove blocks."""

from __future__ import annotations

from collections.abc import Iterator

from surgery.depth import by_list, without
from surgery.edits import Edit
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(
    title="Remove", group="prune", source="original; depth pruning after Gromov et al. 2024, arXiv:2403.17887"
)
class Remove(Operation):
    """The blocks are gone; those behind move up and the KV cache and config follow.

    Fields: `targets`, items of a ModuleList or Sequential (in a transformers model: its blocks).
    Shapes stay. Refused: the last block of a list, modules that are no block, families of
    transformers that are not proved yet.
    """

    targets: Targets = option(help="the blocks to take out")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        yield from without(patient, by_list(patient, self.targets.paths, "remove"), "remove")
