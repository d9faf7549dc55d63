"""The contract of an adviser: typed fields, what it reads and pays, and a score per place."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from surgery.advise.advice import Advice, lowered
from surgery.advise.case import Case
from surgery.typed import Typed, declared

Reads = Literal["weights", "examples", "gradients"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adviser(Typed, ABC):
    """What says where to cut. Subclasses are frozen dataclasses made with `@adviser`.

    `unit` is that of its numbers, empty for a bare one; `reads` says what it looks at, and `cost` in words
    what that takes. Its numbers rank places for one `edit`: with `low_is_cheap` the lowest come first.
    `together` says that all paths of an item are its targets, with that flag.
    """

    unit: ClassVar[str]
    cost: ClassVar[str]
    reads: ClassVar[Reads]
    edit: ClassVar[str]
    low_is_cheap: ClassVar[bool]
    together: ClassVar[bool]

    @classmethod
    def called(cls) -> str:
        """The title within a line: `block influence`, `SNIP`."""
        return lowered(cls.title)

    @abstractmethod
    def score(self, case: Case) -> Advice:
        """Numbers for the places of the case; `case.advice` makes them an Advice.

        The case's model is a shell of its own: it may be hooked and its gradients asked for, and only what
        its tensors hold must not be written to. Raises SurgeryError, a sentence, where there is nothing to
        score.
        """


def adviser(
    *,
    title: str,
    source: str,
    reads: Reads,
    cost: str,
    unit: str = "",
    edit: str = "remove",
    low_is_cheap: bool = True,
    together: bool = False,
) -> Any:
    """Makes a class a frozen keyword-only dataclass that is an adviser, as `task` does of tasks."""

    def made(cls: type[Any]) -> Any:
        found = declared(cls, title=title, source=source)
        found.unit, found.reads, found.cost = unit, reads, cost
        found.edit, found.low_is_cheap, found.together = edit, low_is_cheap, together
        return found

    return made
