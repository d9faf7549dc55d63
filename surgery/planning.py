"""What a session proposes, from what was measured of its state: plans under a budget, and suggestions."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from surgery.measuring import Measuring

if TYPE_CHECKING:
    from surgery.budget import Budget, Plan
    from surgery.evaluate import Examples
    from surgery.evaluate.bench import Asked
    from surgery.session import Session
    from surgery.suggestions import Advised, Suggestions


class Planning(Measuring):
    """The part of a session that proposes edits; it makes none."""

    def budget(
        self,
        of: str = "parameters",
        *,
        examples: Examples | None = None,
        device: str = "auto",
        tasks: Asked = None,
    ) -> Budget:
        """What the edits that were swept can save of the current state, in rank order, and at what cost.

        `of`: parameters, bytes or macs. Plans are measured on the `examples` of the sweep, and by its `tasks`
        where these are functions or have fields. Raises SurgeryError where nothing was swept.
        """
        from surgery.budget import Budget

        return Budget(cast("Session", self), of, examples=examples, device=device, tasks=tasks)

    def plan_to(self, target: str | float, of: str = "parameters") -> Plan:
        """The edits of the last sweeps that bring the model to a size: `s.plan_to("-20 %")`, `"4 MB"`.

        Nothing is made before `plan.apply()`. See `budget` and `Budget.to`.
        """
        return self.budget(of).to(target)

    def suggest(
        self, count: int = 10, of: str = "parameters", *, advice: Collection[Advised] | None = None
    ) -> Suggestions:
        """Which edits to make next, best first: `tie 6 and 7: −148 k, perplexity +0.39 ± 0.08`.

        From the sweeps of the current state, the last of each operation, ranked by what they cost for what
        they save `of` the model; each has its reasons in `why`, and `apply()`. Behind them, what `advice`
        proposes that nobody measured: findings of advisers, by default those of the state. Raises
        SurgeryError where nothing is known of it.
        """
        from surgery.suggestions import suggestions

        found = self.history.current.advice.values() if advice is None else advice
        return suggestions(cast("Session", self), count, of, found)
