"""The edits that sweeps measured, as candidates of a plan: ranked by what they cost for what they save."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graph.costs import costs
from graph.paths import is_below
from surgery.budget.goal import FIGURES, Of
from surgery.budget.scale import Scale
from surgery.evaluate.figure import Figure
from surgery.evaluate.sweep import Row, SweepReport
from surgery.fields import Target, Targets
from surgery.operation import Operation
from surgery.script import step_data
from surgery.session import Session


@dataclass(frozen=True, eq=False)
class Candidate:
    """An edit measured alone: its loss on the plan's scale with its standard error, and what it saves.

    `touches` are the paths of all modules that it names, `rank` is its place from 1 among its sweep's rows.
    """

    step: Operation
    figure: Figure
    loss: float
    error: float
    saved: float
    touches: frozenset[str]
    rank: int
    report: SweepReport

    @property
    def key(self) -> str:
        """A text that tells it from others."""
        return step_key(self.step)

    @property
    def price(self) -> tuple[bool, float]:
        """What it is ranked by: loss per unit saved; what loses nothing comes first, by what it gains."""
        return (True, self.loss / self.saved) if self.loss > 0 else (False, self.loss)

    def meets(self, other: Candidate) -> bool:
        """Whether both are about one module, or one is about a part of what the other is about.

        Alone was measured what each does to the model as it is: of a module that the other has changed, or
        taken out, nothing is known.
        """
        return any(
            is_below(mine, yours) or is_below(yours, mine) for mine in self.touches for yours in other.touches
        )


def step_key(step: Operation) -> str:
    """A text that is the same for equal steps."""
    return json.dumps(step_data(step), sort_keys=True)


def candidates(session: Session, reports: Iterable[SweepReport], of: Of) -> list[Candidate]:
    """The measured edits of these sweeps that save something, cheapest first; by the last one's figure.

    Of sweeps of other data, or without that figure, none. What an edit saves of bytes or MACs is looked up by
    a preview; parameters are known from the sweep.
    """
    sweeps = list(reports)
    if not sweeps:
        return []
    by, data = sweeps[-1].by, sweeps[-1].data
    found: dict[str, Candidate] = {}
    for report in sweeps:
        if report.data != data:
            continue
        for rank, row in zip(report.ranks, report.measured, strict=True):
            figure = named(row, by)
            if figure is None:
                continue
            made = _candidate(row, figure, report, rank, saving(session, row, of))
            if made.saved > 0:
                found[made.key] = made
    return sorted(found.values(), key=lambda item: item.price)


def named(row: Row, name: str) -> Figure | None:
    """The figure of a row by its name, or that of the task of this name."""
    return next((figure for figure in row.figures if name in (figure.name, figure.task)), None)


def saving(session: Session, row: Row, of: Of) -> int:
    """What an edit alone saves."""
    if of == "parameters":
        return row.parameters[0] - row.parameters[1]
    count = FIGURES[of]
    shown = session.preview(row.step)
    return count(shown.before) - count(shown.after)


def compatible(ordered: Iterable[Candidate]) -> list[Candidate]:
    """Those that have no module in common with one before them, in this order."""
    taken: list[Candidate] = []
    for item in ordered:
        if not any(item.meets(other) for other in taken):
            taken.append(item)
    return taken


def size(chosen: Sequence[Candidate]) -> float:
    """How large the losses are in all, whichever their signs, their errors included."""
    return sum(math.hypot(item.loss, item.error) for item in chosen)


def now(session: Session, of: Of) -> int:
    """How much there is of it in the current state."""
    return FIGURES[of](costs(session.graph))


def _candidate(row: Row, figure: Figure, report: SweepReport, rank: int, saved: float) -> Candidate:
    scale = Scale.of(figure, report.examples)
    loss, error = scale.loss(figure.after), scale.error(figure)
    return Candidate(row.step, figure, loss, error, saved, _touched(row.step), rank, report)


def _touched(step: Operation) -> frozenset[str]:
    found: set[str] = set()
    for spec in step.specs:
        value = getattr(step, spec.name)
        if isinstance(value, Targets):
            found.update(value.paths)
        elif isinstance(value, Target) and value.path is not None:
            found.add(value.path)
    return frozenset(found)
