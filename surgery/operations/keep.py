"""Keep blocks, and no others."""

from __future__ import annotations

from collections.abc import Iterator

from surgery.depth import by_list, without
from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(
    title="Keep", group="prune", source="original; every second block after Fan et al. 2019, arXiv:1909.11556"
)
class Keep(Operation):
    """Of their lists only these blocks are left; the KV cache and config follow.

    Fields: `targets`, items of a ModuleList or Sequential (in a transformers model: its blocks); they
    stay in the order they are in. Shapes stay. Refused: targets that are all there is, modules that are no
    block, families of transformers that are not proved yet.
    """

    targets: Targets = option(help="the blocks that stay")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        kept = by_list(patient, self.targets.paths, "keep")
        gone = {
            parent: [index for index in range(patient.items(parent)) if index not in indices]
            for parent, indices in kept.items()
        }
        if not any(gone.values()):
            raise SurgeryError(
                "keep would change nothing",
                path=self.targets.select,
                got="all blocks of the list",
                hint="a part of them, such as `[::2]`",
            )
        yield from without(patient, {parent: indices for parent, indices in gone.items() if indices}, "keep")
