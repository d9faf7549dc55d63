"""The candidates in their order as steps one after another, with what the model costs after each of them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence

from graph.costs import Costs, costs
from surgery.budget.candidates import Candidate, compatible
from surgery.budget.goal import FIGURES, Of
from surgery.errors import SurgeryError
from surgery.history import State
from surgery.operation import Operation
from surgery.session import Session
from surgery.together import in_turn


class Ladder:
    """Plans of which each is the one before and an edit more: `taken` in rank order, and their `steps`.

    What shares a module with a better one is left out, and so is what is refused behind the others: `left`
    has these with the reason. Costs are those of previews, made when they are asked for and kept.
    """

    def __init__(self, session: Session, state: State, ordered: Sequence[Candidate], of: Of) -> None:
        self.session, self.state, self.of = session, state, of
        self.taken: tuple[Candidate, ...] = ()
        self.steps: tuple[Operation, ...] = ()
        self.left: list[tuple[Candidate, str]] = []
        self._known: dict[tuple[int, ...], Costs] = {}
        self._lock = threading.RLock()
        self._climb(compatible(ordered))

    def __len__(self) -> int:
        return len(self.taken)

    def costs(self, count: int) -> Costs:
        """What the model costs after the first so many; SurgeryError once the session is in another state.

        One that a preview refuses is left out from then on, and the ladder is shorter.
        """
        with self._lock:
            while True:
                count = min(count, len(self.taken))
                key = tuple(map(id, self.taken[:count]))
                if key in self._known:
                    return self._known[key]
                with self.session.lock:
                    refuse_other(self.session, self.state)
                    base = self.session.graph
                try:
                    found = self.session.preview(*self.steps[:count]).after if count else costs(base)
                except SurgeryError as error:
                    self._without(count - 1, error)
                    continue
                refuse_other(self.session, self.state)
                self._known[key] = found
                return found

    def amount(self, count: int) -> int:
        """How much is left after the first so many."""
        return FIGURES[self.of](self.costs(count))

    def reaching(self, limit: float) -> int | None:
        """The fewest with which no more than `limit` is left; None where all of them leave more."""
        with self._lock:
            if self.amount(len(self)) > limit:
                return None
            # Where each saves as much as alone, the sums say it: a preview or two find out whether they do.
            sums = [0.0]
            for item in self.taken:
                sums.append(sums[-1] + item.saved)
            count = min(len(self), bisect_left(sums, self.amount(0) - limit))
            while self.amount(count) > limit:
                count += 1
            while count and self.amount(count - 1) <= limit:
                count -= 1
            return count

    def _climb(self, ordered: Sequence[Candidate]) -> None:
        taken, steps = [], []
        with self.session.lock:
            refuse_other(self.session, self.state)
            for item, made in zip(
                ordered, in_turn(self.session, [item.step for item in ordered]), strict=True
            ):
                if isinstance(made, SurgeryError):
                    self.left.append((item, made.sentence(with_hint=False)))
                else:
                    taken.append(item)
                    steps.append(made)
        self.taken, self.steps = tuple(taken), tuple(steps)

    def _without(self, place: int, error: SurgeryError) -> None:
        self.left.append((self.taken[place], error.sentence(with_hint=False)))
        self._climb([item for number, item in enumerate(self.taken) if number != place])


def refuse_other(session: Session, state: State) -> None:
    """SurgeryError unless the session is in this state."""
    if session.history.current is not state:
        raise SurgeryError(
            "the session has gone on since: a plan is of the state that was swept",
            path=f"state {state.id}",
            got=f"state {session.history.current.id}",
            hint=f"`s.goto({state.id})`, or a sweep of this state",
        )
