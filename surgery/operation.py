"""The contract of an operation: typed fields, and a pure plan that yields edits."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import torch

from graph.nodes import ModuleGraph
from surgery.charts.kinds import Chart
from surgery.checkpoint.parents import fingerprinted
from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Target, Targets
from surgery.measures import Measured
from surgery.model import Patient
from surgery.selecting import listed, resolve, resolved
from surgery.typed import Typed, declared

Group = Literal["tie", "untie", "merge", "prune", "arrange", "attach", "adjust"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation(Typed, ABC):
    """A kind of edit with its values. Subclasses are frozen dataclasses made with `@operation`.

    Fields are given as text, numbers and flags and checked when the object is made; selectors are
    resolved against a state by `resolved`. `plan` sees resolved fields only.
    """

    group: ClassVar[Group]
    exact: ClassVar[bool] = False
    """Whether it claims to keep what the model computes: the session proves that before it keeps the step."""
    one_of: ClassVar[tuple[str, ...]] = ()
    """Fields of which exactly one is given, the one that a form begins with first."""

    @abstractmethod
    def plan(self, patient: Patient) -> Iterator[Edit]:
        """The edits that do it. Reads the patient and changes nothing; raises SurgeryError to refuse."""

    def check(self, before: ModuleGraph, after: ModuleGraph) -> None:
        """Refuses what the traces before and after show to be another edit than was meant.

        The paths are resolved. Where there are no example inputs, neither graph has calls.
        """

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, torch.Tensor]:
        """What the plan must know of values, found with batches of `data`; see `surgery.measures`.

        For operations with a field `measured: Measured | None`. It changes nothing, and the fields of `self`
        are resolved.
        """
        raise NotImplementedError(f"{self.name} has a measured field and no measure")

    def bounds(self, before: ModuleGraph | None) -> frozenset[str] | None:
        """Of which figures of `Costs` its plan gives an upper bound only; None where all are exact.

        For operations whose shapes hang on what a measure finds, until it ran: the plan is then the largest
        that it can come to, in these figures. `before` is the graph it is planned on, None where that is not
        known.
        """
        return None

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """What helps to choose the values, such as a spectrum with a mark at the rank; None for nothing.

        The fields of `self` are resolved. It may read weights, and run batches of `data`; it changes nothing.
        Four lines are as many as a form has room for.
        """
        return None

    def suiting(self, patient: Patient) -> Mapping[str, Mapping[str, str]]:
        """Of fields with choices those that suit the targets, with a word on each or none.

        A field that is not in it has all of its choices. The fields of `self` are resolved. It may take
        seconds when it is first asked.
        """
        return {}

    @property
    def awaits_measure(self) -> bool:
        """Whether its measure was not run yet."""
        return any(spec.kind == "measured" and getattr(self, spec.name) is None for spec in self.specs)

    def with_measure(self, patient: Patient, data: Sequence[Any]) -> Self:
        """The same operation, resolved, with what its measure finds frozen in it."""
        if not self.awaits_measure:
            return self
        resolved = self.resolved(patient)
        found = Measured.of(resolved.measure(patient, data))
        name = next(spec.name for spec in self.specs if spec.kind == "measured")
        return dataclasses.replace(resolved, **{name: found})

    def keeps_structure(self) -> bool:
        """Whether only values change: modules, shapes and ties stay, so that a rebuild may skip the step."""
        return False

    def structural(self) -> Operation:
        """A step that makes the same structure, by which a folder is loaded: without the script's sidecar."""
        return self

    def resolved(self, patient: Patient) -> Self:
        """The same operation with every selector resolved in this state, and parents' fingerprints taken.

        A selector that matches nothing is refused, so is one that matches more or fewer than it was
        expected to, and one that was resolved before (in a script) must resolve to the same paths now, as a
        parent must be the very one that was recorded.
        """
        changes: dict[str, Any] = {}
        for spec in self.specs:
            value = getattr(self, spec.name)
            if isinstance(value, Targets):
                changes[spec.name] = now = resolved(value, patient.root)
                if value.paths and value.paths != now.paths:
                    raise _differs(self.name, value.select, value.paths, now.paths)
            elif isinstance(value, Target):
                paths = resolve(value.select, patient.root)
                if len(paths) != 1:
                    raise SurgeryError(
                        f"{self.name}.{spec.name} needs one module",
                        path=value.select,
                        got=f"{len(paths)} matches",
                    )
                if value.path is not None and value.path != paths[0]:
                    raise _differs(self.name, value.select, (value.path,), paths)
                changes[spec.name] = Target(value.select, paths[0])
            elif spec.kind == "parents":
                changes[spec.name] = fingerprinted(value, all_of_them=patient.signs)
        return dataclasses.replace(self, **changes)


def operation(*, title: str, group: Group, source: str) -> Any:
    """Makes a class a frozen keyword-only dataclass with title, group in the studio, and source."""

    def decorate(cls: type[Operation]) -> type[Operation]:
        made: type[Operation] = declared(cls, title=title, source=source)
        made.group = group
        return made

    return decorate


def _differs(name: str, text: str, recorded: tuple[str, ...], found: tuple[str, ...]) -> SurgeryError:
    return SurgeryError(
        f"{name} was recorded on other modules than this selector gives here",
        path=text,
        got=listed(found),
        expected=listed(recorded),
        hint="the model the script was made on, or a replay with `--reselect` (`reselect=True`)",
    )
