"""What hangs together, as steps on units find it when they are resolved and keep it for their plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Found, Targets
from surgery.model import Patient
from surgery.widths import channels, streams
from surgery.widths.channels import frozen, group_of, refuse_counted, thawed
from surgery.widths.part import Part
from surgery.widths.refusals import refuse_sealed
from surgery.widths.registry import KINDS
from surgery.widths.selecting import parts_among


class _Step(Protocol):
    """An operation that takes units out of what lies among its targets."""

    name: ClassVar[str]

    @property
    def targets(self) -> Targets: ...
    @property
    def units(self) -> str: ...
    @property
    def found(self) -> Found | None: ...


FOLLOWED = {"channels": channels.parts_of, "width": streams.parts_of}
"""Units that are found by following the forward: how their parts are made of the groups that a step keeps."""

Step = TypeVar("Step", bound=_Step)


def with_found(
    step: Step, patient: Patient, fewer: Callable[[Step], Callable[[Patient], Iterable[Edit]]]
) -> Step:
    """The step, resolved, with the units that hang together: found with example inputs, else kept.

    `fewer(step)` plans edits after which there are fewer of them: where the forward then computes something
    else, that is refused.
    """
    if step.units not in FOLLOWED:
        if step.found is not None:
            raise SurgeryError(f"{step.name}.found belongs to channels and width", got=f"units={step.units}")
        return step
    if patient.inputs is None and step.found is not None:
        return step
    mine = parts_among(KINDS[step.units](patient), step.targets, step.units, _known(step))
    found = frozen(tuple(group_of(part) for part in mine))
    if step.found not in (None, found):
        raise SurgeryError(
            f"{step.name} was recorded on {step.units} that hang together in another way than here",
            path=step.targets.select,
            hint="the model the script was made on, or making the step anew",
        )
    changes: dict[str, Any] = {"found": found}
    made: Step = replace(step, **changes)  # type: ignore[type-var]
    refuse_counted(patient, fewer(made), step.units)
    return made


def parts_of_step(step: _Step, patient: Patient) -> tuple[list[Part], list[Part]]:
    """All parts of the model with such units, and those among the targets, which may be cut."""
    if step.units in FOLLOWED and step.found is not None:
        parts = FOLLOWED[step.units](patient, thawed(patient, step.found, step.name))
    else:
        parts = KINDS[step.units](patient)
    mine = parts_among(parts, step.targets, step.units, _known(step))
    if step.units != "channels":  # whose groups are cut with the adapters that read them
        refuse_sealed(patient, mine)
    return parts, mine


def _known(step: _Step) -> str:
    return f"{step.name} knows how to take apart"
