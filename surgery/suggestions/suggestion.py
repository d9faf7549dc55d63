"""A suggestion: one edit with what it saves, what it costs, why it is proposed, and a way to make it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from surgery.budget.ladder import refuse_other
from surgery.script import step_data

if TYPE_CHECKING:
    from surgery.history import State
    from surgery.operation import Operation
    from surgery.session import Session


@dataclass(frozen=True, eq=False)
class Suggestion:
    """An edit of a state: `tie 6 and 7: −148 k, perplexity +0.39 ± 0.08`.

    `words` say what is done, `saves` and `costs` with how much; `why` is the reason, sentence by sentence.
    `measured` is false where only an adviser speaks for it.
    """

    session: Session
    state: State
    step: Operation
    words: str
    saves: str
    costs: str
    why: tuple[str, ...]
    measured: bool = True

    def apply(self) -> State:
        """Makes the edit. SurgeryError once the session is in another state, and if it is refused."""
        with self.session.lock:
            refuse_other(self.session, self.state)
            return self.session.apply(self.step)

    def __str__(self) -> str:
        return f"{self.words}: {', '.join(part for part in (self.saves, self.costs) if part)}"

    def __repr__(self) -> str:
        return str(self)

    def to_dict(self) -> dict[str, Any]:
        """The suggestion as JSON values."""
        return {
            "step": step_data(self.step),
            "words": self.words,
            "saves": self.saves,
            "costs": self.costs,
            "why": list(self.why),
            "measured": self.measured,
        }


@dataclass(frozen=True, eq=False)
class Suggestions:
    """Suggestions for a state, best first; `note` says what they are ranked by, `others` how many more."""

    found: tuple[Suggestion, ...]
    note: str
    others: int = 0

    def __iter__(self) -> Iterator[Suggestion]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, place: int) -> Suggestion:
        return self.found[place]

    def __str__(self) -> str:
        width = len(str(len(self.found)))
        lines = [f"{place:>{width}}  {item}" for place, item in enumerate(self.found, start=1)]
        more = f"; {self.others} more" if self.others else ""
        return "\n".join([*lines, f"({self.note}{more})"])

    def __repr__(self) -> str:
        return str(self)
