"""A budget: from what sweeps found of a state, the plan for any size that it should come to."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from surgery.budget.candidates import Candidate, candidates, size
from surgery.budget.goal import NOUNS, amount, change, goal_of, refuse_unknown
from surgery.budget.interaction import Interaction, Tried
from surgery.budget.ladder import Ladder, refuse_other
from surgery.budget.plan import Plan, Prediction, as_measured, predicted
from surgery.budget.scale import Scale
from surgery.budget.trials import Scales, Trial, drawn
from surgery.errors import SurgeryError
from surgery.evaluate.figure import Figure
from surgery.stopping import Stopped
from surgery.together import in_turn

if TYPE_CHECKING:
    from surgery.evaluate import Examples
    from surgery.evaluate.bench import Asked
    from surgery.evaluate.evaluator import Progress
    from surgery.operation import Operation
    from surgery.session import Session

PLANS = 24
"""Plans measured to learn of interactions, where the time allows."""


class Budget:
    """What can be saved from the current state of a session, by the edits that its sweeps measured.

    Edits come in rank order, what they cost for what they save `of` the model first to last; those that share
    a module with a better one are left out. `by` is the figure that the last sweep ranked by. Raises
    SurgeryError where nothing was swept, and where no edit saves anything.
    """

    def __init__(
        self,
        session: Session,
        of: str = "parameters",
        *,
        examples: Examples | None = None,
        device: str = "auto",
        tasks: Asked = None,
    ) -> None:
        self.session, self.of = session, refuse_unknown(of)
        self._examples, self._device, self._tasks = examples, device, tasks
        with session.lock:
            self.state = session.history.current
        sweeps = [report for report in self.state.sweeps.values() if report.measured]
        if not sweeps:
            raise SurgeryError(
                "nothing is known of what edits of this state cost",
                path=f"state {self.state.id}",
                hint='`s.sweep("remove", "model.layers[*]")`',
            )
        self.by, self.data = sweeps[-1].by, sweeps[-1].data
        self.ranked = candidates(session, sweeps, self.of)
        if not self.ranked:
            raise SurgeryError(f"no edit that was swept saves {NOUNS[self.of]}", hint="a sweep of `remove`")
        self.ladder = Ladder(session, self.state, self.ranked, self.of)
        self._scales: Scales | None = None
        self._known: tuple[int, Interaction] | None = None
        self._foreseen: dict[frozenset[str], Prediction] = {}

    # Plans --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many edits the largest plan has."""
        return len(self.ladder)

    def to(self, target: str | float) -> Plan:
        """The plan with the fewest edits, best first, that leaves no more than `target`.

        `"-20 %"`, `"-0.3 M"`: less by that; `"1.2 M"`, `"4 MB"`, or a number: what is to be left. Raises
        SurgeryError for what all edits together do not reach, with the nearest that can be had.
        """
        before = self.ladder.amount(0)
        goal = goal_of(target, self.of, before)
        count = self.ladder.reaching(goal.limit)
        if count is None:
            most = self.ladder.amount(len(self))
            raise SurgeryError(
                "the edits that were swept do not save so much",
                got=f"{goal.text} of {amount(before, self.of)}",
                expected=f"at most {change(before, most)}, {amount(most, self.of)}, with all {len(self)}",
                hint="that much, or a sweep of other edits too",
            )
        return self.at(count)

    def at(self, count: int) -> Plan:
        """The plan of the first so many edits."""
        before, after = self.ladder.costs(0), self.ladder.costs(count)
        count = min(count, len(self))  # what a preview refused is left out by then
        chosen = self.ladder.taken[:count]
        return Plan(self, chosen, self.ladder.steps[:count], before, after, self.expected(chosen))

    def plans(self) -> list[Plan]:
        """One of each number of edits, from none to all: what a slider goes through."""
        return [self.at(count) for count in range(len(self) + 1)]

    def expected(self, chosen: Sequence[Candidate]) -> Prediction:
        """What the figure is expected to be after these edits, all of them.

        Of a plan that was measured what the others say, so that the band is that of before.
        """
        if not chosen:
            figure = self.ranked[0].figure
            base = figure.before if figure.before is not None else figure.perfect or 0.0
            return as_measured(figure, base, None)
        first = chosen[0].figure
        if len(chosen) == 1:
            return as_measured(first, first.after, first.interval)
        plan, known = _tried(chosen), self.interaction
        if plan.keys not in self._foreseen:
            others = known
            if any(item.keys == plan.keys for item in known.tried):
                others = Interaction(tuple(item for item in known.tried if item.keys != plan.keys))
            loss, scale = others.expected(plan), Scale.of(first, chosen[0].report.examples)
            self._foreseen[plan.keys] = predicted(scale, first, loss, len(others.tried), others.is_calibrated)
        return self._foreseen[plan.keys]

    @property
    def interaction(self) -> Interaction:
        """What is known of how these edits interact, from the plans that were measured of this state."""
        trials = self.state.trials
        if self._known is None or self._known[0] != len(trials):
            known = {item.key: item for item in self.ranked}
            tried = [
                _tried([known[key] for key in sorted(trial.keys)], trial.figure)
                for trial in trials
                if self._is_mine(trial) and len(trial.keys) > 1 and trial.keys <= known.keys()
            ]
            self._known, self._foreseen = (len(trials), Interaction(tuple(tried))), {}
        return self._known[1]

    # Measuring ----------------------------------------------------------------------------------

    def calibrate(
        self,
        budget_s: float = 30.0,
        plans: int = PLANS,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> Interaction:
        """Measures plans of several edits, as many as about `budget_s` seconds allow, and learns from them.

        Every second of the ranking's own, the others of the ranking shaken and of no order, drawn with
        `seed`. Nine are needed for a band that holds nine of ten. What was measured before it was stopped is
        kept; Stopped where that is nothing.
        """
        began, done = time.perf_counter(), 0
        for chosen in drawn(self.ranked, len(self), seed):
            if done >= plans or (done and time.perf_counter() - began >= budget_s):
                break
            if self.known(chosen) is not None:
                done += 1
                continue
            try:
                self.weigh(chosen, self._placed(chosen), stop)
            except Stopped:
                if not done:
                    raise
                break
            except SurgeryError:
                continue  # edits that do not go together are no plan
            done += 1
            if progress is not None:
                spent = (time.perf_counter() - began) / budget_s if budget_s else 1.0
                progress(min(1.0, max(done / plans, spent)), f"{done} of {plans} plans")
        self.session.history.watchers.tell()
        return self.interaction

    def known(self, chosen: Sequence[Candidate]) -> Figure | None:
        """What was measured of just these edits together."""
        if len(chosen) == 1:
            return chosen[0].figure
        keys = frozenset(item.key for item in chosen)
        found = (
            trial for trial in reversed(self.state.trials) if trial.keys == keys and self._is_mine(trial)
        )
        return next((trial.figure for trial in found), None)

    def weigh(
        self, chosen: Sequence[Candidate], steps: Sequence[Operation], stop: threading.Event | None = None
    ) -> Figure:
        """What the steps of these edits do together, measured; kept with the state."""
        if self._scales is None:
            refuse_other(self.session, self.state)
            self._scales = self._made()
        figure = self._scales.weigh(steps, self.ranked[0].figure, stop)
        keys = frozenset(item.key for item in chosen)
        self.state.trials.append(Trial(keys, figure, self.data, self._scales.count))
        return figure

    # Inside -------------------------------------------------------------------------------------

    def _made(self) -> Scales:
        shown = self._examples or self.session.evaluator(None, self._device).examples
        if shown.label != self.data:
            raise SurgeryError(
                "the sweep was measured on other data",
                got=shown.label,
                expected=self.data,
                hint="`s.budget(examples=…)` with the examples of the sweep",
            )
        count = max(item.report.examples for item in self.ranked)
        return Scales(self.session, shown, count, self._device, self._tasks)

    def _placed(self, chosen: Sequence[Candidate]) -> list[Operation]:
        refuse_other(self.session, self.state)
        made: list[Operation] = []
        for step in in_turn(self.session, [item.step for item in chosen]):
            if isinstance(step, SurgeryError):
                raise step
            made.append(step)
        return made

    def _is_mine(self, trial: Trial) -> bool:
        return self.by in (trial.figure.name, trial.figure.task) and trial.data == self.data

    def __str__(self) -> str:
        lines = [f"{len(self)} edits by what they cost for the {NOUNS[self.of]} they save; by {self.by}"]
        lines += [
            f"{count:>4}  {plan.words()}; {plan.expected.text()}" for count, plan in enumerate(self.plans())
        ]
        lines.append(f"({self.data}; {self.at(len(self)).expected.grounds()})")
        return "\n".join(lines)

    def __repr__(self) -> str:
        before, most = self.ladder.amount(0), self.ladder.amount(len(self))
        return f"<surgery.Budget of {len(self)} edits, up to {change(before, most)} {NOUNS[self.of]}>"


def _tried(chosen: Sequence[Candidate], figure: Figure | None = None) -> Tried:
    """A plan as its losses alone say it, and with a figure what it lost."""
    scale = Scale.of(chosen[0].figure, chosen[0].report.examples)
    keys = frozenset(item.key for item in chosen)
    found = Tried(keys, sum(item.loss for item in chosen), size(chosen))
    return found if figure is None else Tried(found.keys, found.sum, found.size, scale.loss(figure.after))
