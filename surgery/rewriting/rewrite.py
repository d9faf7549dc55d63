"""The base of rewrites: operations that keep what the model computes, by what they find in its graph."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from torch import nn

from graph.paths import is_below
from surgery.errors import SurgeryError
from surgery.fields import Found, Targets, option
from surgery.model import Patient
from surgery.operation import Operation


@dataclass(frozen=True, kw_only=True)
class Rewrite(Operation):
    """An operation whose result computes the same, and which finds its places by running the model on fakes.

    What it found is kept in the step, so a replay needs no example inputs. See `surgery.rewriting.proof` for
    what the session does before it keeps such a step.
    """

    exact = True

    found: Found | None = option(None, help="the places, as the first run showed")

    @abstractmethod
    def find(self, patient: Patient) -> Any:
        """The places as plain data of JSON; SurgeryError where there are none. Its paths are resolved."""

    def resolved(self, patient: Patient) -> Self:
        """Also what was found in this state: with example inputs found anew, and without them kept."""
        step = super().resolved(patient)
        if patient.inputs is None and step.found is not None:
            return step
        found = Found(step.find(patient))
        if step.found not in (None, found):
            raise SurgeryError(
                f"{self.name} was recorded on modules that hang together in another way than here",
                path=_select(step),
                hint="the model the script was made on, or making the step anew",
            )
        return replace(step, found=found)

    def places(self) -> Any:
        """What was found; the step is resolved."""
        assert self.found is not None
        return self.found.data


def _select(step: Operation) -> str | None:
    return getattr(getattr(step, "targets", None), "select", None)


T = TypeVar("T")


def gathered(
    patient: Patient,
    targets: Targets,
    is_kind: Callable[[nn.Module], bool],
    kind: str,
    place: Callable[[str], T],
) -> list[T]:
    """What `place` finds for each module of a kind at or below the targets, each once.

    One that is named by itself and cannot be is refused; of a container those are left out that cannot be.
    SurgeryError, the first that came up, where none is left.
    """
    found: list[T] = []
    seen: set[nn.Module] = set()
    refused: SurgeryError | None = None
    for path, module in patient.walk():
        if module in seen or not is_kind(module):
            continue
        around = [other for other in targets.paths if is_below(path, other)]
        if not around:
            continue
        seen.add(module)
        try:
            found.append(place(path))
        except SurgeryError as error:
            if around == [path]:
                raise
            refused = refused or error
    if not found:
        raise refused or none_of_kind(kind, patient, targets)
    return found


def none_of_kind(kind: str, patient: Patient, targets: Targets) -> SurgeryError:
    """What to say where no module at or below the targets is of this kind."""
    classes = dict.fromkeys(type(patient.module(path)).__name__ for path in targets.paths)
    return SurgeryError(
        f"is and contains no {kind}",
        path=targets.select or "the model",
        got=", ".join(classes) if len(classes) < 4 else f"{len(targets.paths)} modules",
        hint=None if targets.select in ("", "**") else '`"**"`, the whole model',
    )
