"""The tab of budgets: a slider over plans, the band they are expected in, what was measured, suggestions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graph.nodes import ModuleGraph
from surgery.budget import Budget, Plan
from surgery.budget.goal import NOUNS, Of, amount, change
from surgery.budget.interaction import LEAST_PLANS
from surgery.budget.plan import weighed
from surgery.errors import SurgeryError
from surgery.evaluate.figure import number
from surgery.evaluate.sweep import paths_of
from surgery.evaluate.sweep.report import SweepReport
from surgery.history import State
from surgery.suggestions import Suggestion
from surgery.suggestions.wording import paths_in, short_names, words
from widgets.errands import notice_of, refusal_of
from widgets.operating import Operating
from widgets.panels import Message, Panel
from widgets.theatre import Theatre

SUGGESTED = 12
UNSWEPT = (
    "These are what advisers propose; nothing was measured. Ask above the graph what each block would cost: "
    "then choose here how much to save."
)
CALIBRATED_S = 15.0
"""How long plans are measured for the band, where it is asked for."""


@dataclass
class Worked:
    """What was worked out of the sweeps of a state: plans from none to all edits, and suggestions."""

    key: tuple[object, ...]
    budget: Budget | None = None
    error: SurgeryError | None = None
    suggestions: tuple[Suggestion, ...] = ()
    note: str = ""
    plans: list[Plan] = field(default_factory=list)
    tried: int = 0
    """How many measured plans the plans' bands stand on."""


class Budgeting:
    """Budgets and suggestions of a studio; `place` is where the slider was released last, in edits."""

    def __init__(self, theatre: Theatre, operating: Operating) -> None:
        self.theatre, self.session, self.operating = theatre, theatre.session, operating
        self.of: Of = "parameters"
        self.place = 0
        self._worked: Worked | None = None
        self._under_way: tuple[object, ...] | None = None

    def wire(self, panel: Panel) -> None:
        """Whose the messages of the panel are."""
        panel.on("budget_of", self.choose)
        panel.on("budget_release", self.release)
        panel.on("budget_apply", self.apply)
        panel.on("budget_calibrate", lambda _: self.calibrate())
        panel.on("suggestion_apply", self.take)

    # Showing --------------------------------------------------------------------------------------

    def state(self, graph: ModuleGraph) -> dict[str, Any]:
        """`budget`, `suggestions` and the sentence of the report state of protocol.ts."""
        state = self.session.history.current
        sweeps = [report for report in state.sweeps.values() if report.measured]
        if not sweeps and not state.advice:
            return {}
        key = (state.id, self.of, *map(id, sweeps), *map(id, state.advice.values()))
        worked = self._worked
        if worked is None or worked.key != key:
            self._work(key, swept=bool(sweeps))
            return {"sentence": "Working out what the edits save …"}
        if worked.error is not None:
            return {"sentence": worked.error.sentence(with_hint=True)}
        if worked.budget is None and not worked.suggestions:
            return {}
        return {
            "budget": self._shown(worked, worked.budget, graph, sweeps) if worked.budget else None,
            "suggestions": [
                {
                    "words": item.words,
                    "saves": item.saves,
                    "costs": item.costs,
                    "why": list(item.why),
                    "paths": [path for path in paths_in(item.step) if path in graph],
                    "measured": item.measured,
                }
                for item in worked.suggestions
            ],
            "sentence": None if worked.budget else UNSWEPT,
            "note": f"Suggestions are {worked.note}." if worked.budget else None,
        }

    def _shown(
        self, worked: Worked, budget: Budget, graph: ModuleGraph, sweeps: list[SweepReport]
    ) -> dict[str, Any]:
        tried = len(budget.interaction.tried)
        if worked.tried != tried:  # what was measured since narrows the bands
            worked.plans, worked.tried = budget.plans(), tried
        names = short_names(
            path for plan in worked.plans[-1:] for item in plan.chosen for path in item.touches
        )
        figure = worked.plans[0].expected.figure
        return {
            "of": self.of,
            "choices": [{"name": name, "title": title} for name, title in NOUNS.items()],
            "name": figure.name,
            "unit": figure.unit,
            "better": figure.better,
            "place": min(self.place, len(worked.plans) - 1),
            "calibrate": None if self.session.is_skeleton or tried >= LEAST_PLANS else "Calibrate the band",
            "measuring": self.theatre.errands.measuring in ("budget", "calibrate"),
            "swept": " and ".join(report.operation for report in sweeps),
            "rungs": [_rung(plan, graph, names) for plan in worked.plans],
        }

    # Working it out ---------------------------------------------------------------------------------

    def _work(self, key: tuple[object, ...], *, swept: bool) -> None:
        """Plans of every number of edits, previewed beside the kernel's thread."""
        if self._under_way == key:
            return
        self._under_way, self.place = key, 0
        of, errands = self.of, self.theatre.errands

        def work() -> Worked:
            found = self.session.suggest(SUGGESTED, of)
            if not swept:
                return Worked(key, suggestions=found.found)
            budget = self.session.budget(of, device=errands.device, tasks=errands.tasks)
            made = Worked(key, budget, None, found.found, found.note, budget.plans())
            made.tried = len(budget.interaction.tried)
            return made

        def kept(worked: Worked) -> None:
            with self.theatre.drawing:
                self._worked, self._under_way = worked, None
                self.theatre.shown()

        self.theatre.background.latest(
            "budget", work, kept, lambda error: kept(Worked(key, error=refusal_of(error)))
        )

    # Gestures -----------------------------------------------------------------------------------------

    def choose(self, message: Message) -> None:
        """Of what the budget is."""
        name = message.get("of")
        if name in NOUNS:
            self.of = name
            self.theatre.shown()

    def release(self, message: Message) -> None:
        """The slider was let go: the plan is measured there, if it was not before."""
        worked, count = self._worked, _count(message)
        if worked is None or worked.budget is None or not 0 <= count < len(worked.plans):
            return
        self.place = count
        plan = worked.plans[count]
        if self.session.is_skeleton or count < 2 or plan.measured is not None:
            self.theatre.shown()
            return

        self.theatre.errands.measure(
            "budget", f"Measuring {count} edits", lambda stop, tell: plan.measure(stop=stop)
        )

    def calibrate(self) -> None:
        """Plans are measured for a band that holds nine of ten."""
        worked = self._worked
        if worked is None or worked.budget is None or self.session.is_skeleton:
            return
        budget = worked.budget
        self.theatre.errands.measure(
            "calibrate",
            "Measuring plans",
            lambda stop, tell: budget.calibrate(CALIBRATED_S, progress=tell, stop=stop),
        )

    def apply(self, message: Message) -> None:
        """Makes the plan of so many edits, one step each, or none."""
        worked, count = self._worked, _count(message)
        if worked is not None and 0 < count < len(worked.plans):
            self._carry(worked.plans[count].apply)

    def take(self, message: Message) -> None:
        """Makes the edit of a suggestion."""
        worked, place = self._worked, _count(message)
        if worked is not None and 0 <= place < len(worked.suggestions):
            self._carry(worked.suggestions[place].apply)

    def _carry(self, work: Any) -> None:
        def refused(error: Exception) -> None:
            self.operating.arrived()
            self.theatre.errands.say(notice_of(error))

        def applied(_: State) -> None:
            self.operating.arrived()

        self.theatre.carry("Applying", work, applied, refused)


def _rung(plan: Plan, graph: ModuleGraph, names: dict[str, str]) -> dict[str, Any]:
    """A position of the slider: what goes, what the others say that it costs, and what it was measured to."""
    expected, measured, outcome = plan.expected, plan.measured, plan.outcome
    figure, made = expected.figure, bool(plan.steps)
    several = len(plan.steps) > 1
    said = None if measured is None or not made else weighed(measured)
    if said is not None and outcome is not None and several:
        said += f"; {outcome.verdict}"
    ends = f"{number(expected.low, figure.decimals)} to {number(expected.high, figure.decimals)}"
    return {
        "paths": [path for item in plan.chosen for path in paths_of(item.step) if path in graph],
        "edits": [words(item.step, names) for item in plan.chosen],
        "share": change(*plan.amounts),
        "amounts": " → ".join(amount(count, plan.of) for count in plan.amounts),
        "value": expected.value,
        "low": expected.low,
        "high": expected.high,
        "text": f"{number(expected.value, figure.decimals)}{f' {figure.unit}' if figure.unit else ''}",
        "band": ends if made else "",
        "grounds": expected.grounds() if made else "",
        "measured": measured.after if measured is not None and made else None,
        "said": said,
        "interaction": several and outcome is not None and outcome.interaction,
    }


def _count(message: Message) -> int:
    count = message.get("count")
    return count if isinstance(count, int) and not isinstance(count, bool) else -1
