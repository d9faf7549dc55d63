"""What a session can be asked before anything is cut: where that would cost little."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from surgery.measuring import Measuring

if TYPE_CHECKING:
    from surgery.advise import Advice, Adviser
    from surgery.evaluate import Examples
    from surgery.evaluate.evaluator import Progress
    from surgery.session import Session


class Advising(Measuring):
    """The part of a session that gives advice; what is found of a state is kept with it in the history."""

    def advise(
        self,
        adviser: str | Adviser | type[Adviser],
        select: str | None = None,
        budget_s: float = 2.0,
        examples: Examples | None = None,
        device: str = "auto",
        *,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
        **fields: Any,
    ) -> Advice:
        """What an adviser says of the current state: `s.advise("angular_distance", n=2)`. Nothing is edited.

        `adviser`: a name that `surgery.advisers()` has, with fields behind it or beside it
        (`"angular_distance:n=2"`), or one of `surgery.advise`. It scores what is selected, by default the
        blocks; those that look at examples take as many as `budget_s` seconds allow, one batch at the least.
        Printed the advice is a table, cheapest first. It is kept with the state by the adviser's name, and
        the studio can colour by it. Raises SurgeryError where there is nothing to score, and Stopped once
        `stop` is set.
        """
        from surgery.advise.asking import advised

        state, advice = advised(
            cast("Session", self),
            adviser,
            select=select,
            budget_s=budget_s,
            shown=lambda: self._shown(examples),
            device=device,
            progress=progress,
            stop=stop,
            fields=fields,
        )
        state.advice[advice.adviser] = advice
        self.history.watchers.tell()
        return advice
