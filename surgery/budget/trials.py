"""Plans that are measured whole: which are drawn to learn of interactions, and how one is measured."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from surgery.copies import settled
from surgery.errors import SurgeryError
from surgery.evaluate.figure import Figure
from surgery.journal import Journal
from surgery.model import private_shell
from surgery.operation import Operation
from surgery.runs import Live, carry_out

if TYPE_CHECKING:
    from surgery.budget.candidates import Candidate
    from surgery.evaluate import Evaluator, Examples
    from surgery.evaluate.bench import Asked
    from surgery.session import Session

MOST_DRAWS = 40
"""So often in vain a plan is drawn that was drawn already, before there are taken to be no others."""
SHAKE = 1.0
"""Standard deviation of what is added to the logarithm of a rank where an order is shaken."""


@dataclass(frozen=True)
class Trial:
    """A plan of several edits, by their keys, and the figure that it was measured to have."""

    keys: frozenset[str]
    figure: Figure
    data: str
    examples: int


class Scales:
    """Measures models made of a state, beside it, always on the same examples: the first `count` of them."""

    def __init__(
        self, session: Session, examples: Examples, count: int, device: str, tasks: Asked = None
    ) -> None:
        from surgery.evaluate import Evaluator

        if session.is_skeleton:
            raise SurgeryError(
                "a model opened without weights cannot be measured with several edits at once",
                hint="the script of the plan, replayed with `--evaluate` where the weights are",
            )
        self.session, self.tasks = session, tasks
        with session.lock:
            self.base = private_shell(session.model)
            self.along = session.tracing.inputs, session.opened.tokenizer
        self.count = min(count, len(examples))
        self.evaluator: Evaluator = Evaluator(self.base, examples=examples.first(self.count), device=device)

    def weigh(self, steps: Sequence[Operation], known: Figure, stop: threading.Event | None = None) -> Figure:
        """The figure called as `known` of the model that these steps make, one after another.

        Raises SurgeryError for a step that is refused, and Stopped.
        """
        model, run = private_shell(self.base), Live()
        for step in steps:
            carry_out(step, model, Journal(), run, *self.along)
        settled()
        report = self.evaluator.evaluate(model, math.inf, tasks=self.tasks or [known.task], stop=stop)
        return report[known.name]


def drawn(ranked: Sequence[Candidate], rungs: int, seed: int) -> Iterator[tuple[Candidate, ...]]:
    """Plans of two edits or more, none twice: every other one the ranking's own, of any number of edits.

    Between these, in turn, plans of the ranking shaken, and of no order at all. Of the ranking's own every
    second is drawn at the most, so that others are left that were never measured. It ends where no others are
    found.
    """
    from surgery.budget.candidates import compatible

    generator = random.Random(seed)
    first = compatible(ranked)
    own = [first[:count] for count in range(2, rungs + 1)]
    generator.shuffle(own)
    own = own[: (len(own) + 1) // 2]
    seen: set[frozenset[str]] = set()
    reserved = {frozenset(item.key for item in first[:count]) for count in range(2, rungs + 1)}
    vain = 0
    for kind in cycle(("own", "shaken", "own", "any")):
        if kind == "own" and own:
            plan = own.pop()
        else:
            order = sorted(enumerate(ranked), key=lambda item: _key(item[0], kind, generator))
            fitting = compatible(item for _, item in order)
            plan = fitting[: generator.randint(2, max(2, len(fitting) - 1))]
            keys = frozenset(item.key for item in plan)
            if len(plan) < 2 or keys in seen or keys in reserved:
                vain += 1
                if vain > MOST_DRAWS:
                    break
                continue
        vain = 0
        seen.add(frozenset(item.key for item in plan))
        yield tuple(plan)
    yield from map(tuple, own)


def _key(place: int, kind: str, generator: random.Random) -> float:
    noise = generator.gauss(0.0, SHAKE)
    return noise if kind == "any" else math.log(place + 1) + noise
