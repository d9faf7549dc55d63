"""What a merge came to: its parents and the child, each measured against the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from surgery.aliased import every_parent
from surgery.errors import SurgeryError
from surgery.fields import Parent
from surgery.operation import Operation
from surgery.operations.merging.soup import Soup
from surgery.script import Script
from surgery.sources import open as open_model

if TYPE_CHECKING:
    from surgery.evaluate import Examples, Report
    from surgery.evaluate.bench import Asked


@dataclass(frozen=True)
class Measured:
    """A model by name, and what was measured of it; or the sentence that says why nothing was."""

    name: str
    report: Report | None
    problem: str | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.report if self.report is not None else self.problem}"


def outcome(
    script: Script,
    model: str | Path,
    *,
    budget_s: float = 2.0,
    examples: Examples | None = None,
    device: str = "auto",
    tasks: Asked = None,
    skeleton: bool = False,
) -> list[Measured]:
    """The parents of the script's steps, each in the base's place, and the child that the steps make.

    Every one is compared with the base on the same examples, within `budget_s` seconds each. A parent that
    does not have the base's tensors, or cannot be measured, has a sentence instead. `skeleton`: weights are
    read as they are needed, as for a model larger than memory.
    """
    found = []
    session = open_model(model, skeleton=skeleton)
    for parent in _once(script.steps):
        alone = Soup.from_fields({"targets": "", "parents": [parent], "t": 1.0, "statistics": "parents"})
        name, start = parent.alias or Path(parent.source).name, session.history.current
        try:
            session.apply(alone)
            found.append(Measured(name, session.evaluate(budget_s, examples, device, tasks)))
        except SurgeryError as error:
            found.append(Measured(name, None, str(error)))
        finally:
            session.goto(start)
    session = open_model(model, skeleton=skeleton)
    for step in script.steps:
        session.apply(step)
    found.append(Measured("merged", session.evaluate(budget_s, examples, device, tasks)))
    return found


def _once(steps: Sequence[Operation]) -> list[Parent]:
    """Each further model of the steps once."""
    found: dict[tuple[str, str | None], Parent] = {}
    for parent in every_parent(steps):
        found.setdefault((parent.source, parent.alias), parent)
    return list(found.values())
