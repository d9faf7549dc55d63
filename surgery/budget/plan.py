"""A plan: several edits chosen under a budget, what they save, and what they are likely to cost together."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graph.costs import Costs
from surgery.budget.goal import FIGURES, NOUNS, Of, amount, change, saved
from surgery.budget.interaction import LEAST_PLANS, Expected
from surgery.budget.ladder import refuse_other
from surgery.budget.scale import Scale
from surgery.evaluate.figure import Figure, number
from surgery.evaluate.statistics import Interval
from surgery.script import python_of, step_data
from surgery.together import all_or_none

if TYPE_CHECKING:
    from surgery.budget.budget import Budget
    from surgery.budget.candidates import Candidate
    from surgery.history import State
    from surgery.operation import Operation


@dataclass(frozen=True)
class Prediction:
    """A figure as it is expected after a plan: within `low` and `high` nine times of ten.

    `plans` is how many measured plans say so; where these are too few it is not `calibrated`.
    """

    figure: Figure
    value: float
    low: float
    high: float
    plans: int
    calibrated: bool
    alone: bool = False
    """Whether the plan is one edit, or none: then the interval is that of its measurement."""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def text(self) -> str:
        """`perplexity 2.56 → 3.85, 3.22 to 4.60`."""
        places, unit = self.figure.decimals, f" {self.figure.unit}" if self.figure.unit else ""
        base = self.figure.before if self.figure.before is not None else self.figure.perfect
        ends = f"{number(self.low, places)} to {number(self.high, places)}"
        moved = f"{number(base or 0.0, places)} → {number(self.value, places)}{unit}"
        return f"{self.figure.name} {moved}, {ends}"

    def grounds(self) -> str:
        """What the band stands on."""
        if self.alone:
            return "95 % interval, as measured"
        if not self.calibrated:
            return f"cautious band, not calibrated: {self.plans} of {LEAST_PLANS} plans measured"
        return f"90 % band, {self.plans} plans measured"


@dataclass(frozen=True)
class Outcome:
    """What a plan was measured to cost, beside what was expected.

    `interaction`: the edits do to one another what the band did not foresee.
    """

    figure: Figure
    expected: Prediction
    interaction: bool

    @property
    def verdict(self) -> str:
        """Whether it was foreseen, and if not, which way they part."""
        if not self.interaction:
            return "within the band"
        higher = self.figure.after > self.expected.high
        worse = higher == (self.figure.better == "lower")
        return f"interaction: together they cost {'more' if worse else 'less'} than the band"

    def __str__(self) -> str:
        ends = number(self.expected.low, self.figure.decimals)
        ends += f" to {number(self.expected.high, self.figure.decimals)}"
        return f"measured: {self.figure.name} {self.figure.text(explained=False)}; {self.verdict}, {ends}"


def weighed(figure: Figure) -> str:
    """`measured 7.60, +4.14 ± 0.31`."""
    unit = f" {figure.unit}" if figure.unit else ""
    said = f"measured {number(figure.after, figure.decimals)}{unit}"
    said += f", {number(figure.difference, figure.decimals, signed=True)}"
    return f"{said} ± {number(figure.half_width, figure.decimals)}" if figure.half_width else said


@dataclass(frozen=True, eq=False)
class Plan:
    """Edits of the best ranks, as steps to be made one after another on the state that was swept.

    `before` and `after` are exact; `expected` is what the figure will be.
    """

    budget: Budget
    chosen: tuple[Candidate, ...]
    steps: tuple[Operation, ...]
    before: Costs
    after: Costs
    expected: Prediction

    @property
    def of(self) -> Of:
        """What it is a budget of."""
        return self.budget.of

    @property
    def amounts(self) -> tuple[int, int]:
        """How much of it there is, before and after."""
        count = FIGURES[self.of]
        return count(self.before), count(self.after)

    @property
    def share(self) -> float:
        """How much of it is saved, from 0 to 1."""
        was, now = self.amounts
        return 1.0 - now / was if was else 0.0

    @property
    def measured(self) -> Figure | None:
        """What it was measured to be, if it was."""
        return self.budget.known(self.chosen)

    @property
    def outcome(self) -> Outcome | None:
        """The measured value beside the band; None before it was measured."""
        found = self.measured
        return None if found is None else Outcome(found, self.expected, found.after not in self.expected)

    def measure(self, *, stop: threading.Event | None = None) -> Outcome:
        """Makes the edits on a copy of the structure and measures them on the examples of the sweep.

        The session stays as it is. The band is the one from before; plans to come are predicted with what was
        found. Raises Stopped once `stop` is set.
        """
        found = self.budget.weigh(self.chosen, self.steps, stop)
        return Outcome(found, self.expected, found.after not in self.expected)

    def apply(self) -> State:
        """Makes them all, one step each, or none; the state after the last.

        SurgeryError once the session is in another state than the one that was swept.
        """
        session = self.budget.session
        with session.lock:
            refuse_other(session, self.budget.state)
            all_or_none(session, self.steps)
            return session.history.current

    def words(self) -> str:
        """`parameters 1.51 M → 1.21 M, −19.6 %`."""
        (was, now), of = self.amounts, self.of
        return f"{NOUNS[of]} {amount(was, of)} → {amount(now, of)}, {change(was, now)}"

    def __str__(self) -> str:
        """Edits are named as in the state that was swept; in `steps` paths follow those before."""
        lines = [f"{self.words()}, by {len(self.steps)} edit{'' if len(self.steps) == 1 else 's'}"]
        lines.append(f"{self.expected.text()} ({self.expected.grounds()})")
        outcome = self.outcome
        if outcome is not None and len(self.steps) > 1:
            lines.append(str(outcome))
        rows = [
            (python_of(item.step), saved(item.saved, 0.0, self.of), item.figure.text(explained=False))
            for item in self.chosen
        ]
        widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
        for place, (step, less, cost) in enumerate(rows, start=1):
            lines.append(f"{place:>4}  {step:<{widths[0]}}  {less:>{widths[1]}}  alone: {cost}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON values."""
        measured, expected, (was, now) = self.measured, self.expected, self.amounts
        return {
            "of": self.of,
            "before": was,
            "after": now,
            "steps": [step_data(step) for step in self.steps],
            "expected": {
                "figure": expected.figure.name,
                "unit": expected.figure.unit,
                "value": expected.value,
                "low": expected.low,
                "high": expected.high,
                "plans": expected.plans,
                "calibrated": expected.calibrated,
            },
            "measured": None if measured is None else measured.to_dict(),
        }


def predicted(scale: Scale, figure: Figure, loss: Expected, plans: int, calibrated: bool) -> Prediction:
    """What a loss on the scale means for the figure."""
    ends = sorted((scale.value(loss.low), scale.value(loss.high)))
    return Prediction(figure, scale.value(loss.centre), ends[0], ends[1], plans, calibrated)


def as_measured(figure: Figure, value: float, interval: Interval | None) -> Prediction:
    """What is expected of one edit: what it was measured to do."""
    base = figure.before if figure.before is not None else 0.0
    low, high = (value, value) if interval is None else (base + interval.low, base + interval.high)
    return Prediction(figure, value, low, high, 1, True, alone=True)
