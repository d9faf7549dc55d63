"""Other checkpoints that a step reads: they are those it was recorded with, and hold all that is needed."""

from __future__ import annotations

from collections.abc import Sequence

from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.fields import Parent
from surgery.model import Patient


def fingerprinted(parents: Sequence[Parent]) -> tuple[Parent, ...]:
    """Each parent with its place and fingerprint; refused if it is not the one that was recorded."""
    found = []
    for parent in parents:
        checkpoint = Checkpoint.at(parent.source)
        fingerprint = checkpoint.fingerprint()
        if parent.fingerprint not in (None, fingerprint):
            raise SurgeryError(
                "this parent is not the one that was recorded",
                path=parent.source,
                got=fingerprint,
                expected=parent.fingerprint,
            )
        found.append(Parent(str(checkpoint.folder), fingerprint))
    return tuple(found)


def refuse_statistics(patient: Patient, paths: Sequence[str]) -> None:
    """Refuses running statistics: they belong to the weights they were taken with, and are not read."""
    for path in paths:
        for place, module in patient.module(path).named_modules(prefix=path):
            for name, buffer in module._buffers.items():
                kept = buffer is not None and name not in module._non_persistent_buffers_set
                if kept and buffer is not None and buffer.is_floating_point():
                    raise SurgeryError(
                        "holds running statistics, which belong to the weights they were taken with",
                        path=f"{place}.{name}".lstrip("."),
                        hint="targets that leave such modules out, and `recalibrate` afterwards",
                    )
