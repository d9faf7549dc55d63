"""Other checkpoints that a step reads: they are those it was recorded with, and hold all that is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graph.paths import is_among
from surgery.checkpoint.adapter import Adapter, adapter_at, parent_at
from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.fields import Parent, Targets
from surgery.model import Patient


def fingerprinted(parents: Sequence[Parent], *, all_of_them: bool = True) -> tuple[Parent, ...]:
    """Each parent with its place and fingerprint; refused if it is not the one that was recorded.

    Those that were recorded without one keep to that, unless `all_of_them` get theirs.
    """
    found = []
    for parent in parents:
        if parent.fingerprint is None and not all_of_them:
            found.append(parent)
            continue
        checkpoint = adapter_at(parent.source)
        fingerprint = checkpoint.fingerprint()
        if parent.fingerprint not in (None, fingerprint):
            raise SurgeryError(
                "this parent is not the one that was recorded",
                path=parent.source,
                got=fingerprint,
                expected=parent.fingerprint,
            )
        found.append(replace(parent, source=checkpoint.source, fingerprint=fingerprint))
    return tuple(found)


def that_fit(patient: Patient, parents: Sequence[Parent], targets: Targets) -> list[Checkpoint | Adapter]:
    """The checkpoints of the parents, with names as in this model's memory; none has more under the targets.

    SurgeryError names a tensor that would be lost.
    """
    found = [parent_at(parent.source).for_model(patient.root) for parent in parents]
    mine = {name for name, _ in patient.root.named_parameters(remove_duplicate=False)}
    mine |= {name for name, _ in patient.root.named_buffers(remove_duplicate=False)}
    for checkpoint in found:
        for name in checkpoint.names():
            if name not in mine and is_among(name, targets.paths):
                raise SurgeryError(
                    "this parent has a tensor that the model lacks",
                    path=name,
                    got=str(checkpoint.folder),
                    hint="a parent of the same architecture and depth",
                )
    return found


def running_statistics(patient: Patient, paths: Sequence[str]) -> list[str]:
    """Paths of the floating-point buffers that checkpoints hold, at or under the paths."""
    found = []
    for path in paths:
        for place, module in patient.module(path).named_modules(prefix=path):
            for name, buffer in module._buffers.items():
                kept = buffer is not None and name not in module._non_persistent_buffers_set
                if kept and buffer is not None and buffer.is_floating_point():
                    found.append(f"{place}.{name}".lstrip("."))
    return list(dict.fromkeys(found))


def refuse_statistics(patient: Patient, paths: Sequence[str]) -> None:
    """Refuses running statistics: they belong to the weights they were taken with, and are not read."""
    for path in running_statistics(patient, paths):
        raise SurgeryError(
            "holds running statistics, which belong to the weights they were taken with",
            path=path,
            hint="targets that leave such modules out, and `recalibrate` afterwards",
        )
