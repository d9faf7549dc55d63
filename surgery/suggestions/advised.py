"""What a suggestion needs of an adviser's findings. Whatever has these attributes can be suggested from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from surgery.errors import SurgeryError
from surgery.operation import Operation
from surgery.registry import operation_named


class Place(Protocol):
    """A module by its path; a unit of it where there is an index."""

    @property
    def path(self) -> str: ...
    @property
    def paths(self) -> Sequence[str]: ...
    @property
    def index(self) -> int | None: ...


class Line(Protocol):
    """A line of a ranking: its place from 1, what it is about, one module or a pair, and the number."""

    @property
    def rank(self) -> int: ...
    @property
    def items(self) -> Sequence[Place]: ...
    @property
    def value(self) -> float: ...


class Advised(Protocol):
    """What one adviser says of a state: places ranked for the operation called `edit`, the cheapest first."""

    @property
    def called(self) -> str: ...
    @property
    def edit(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def grounds(self) -> str: ...
    @property
    def together(self) -> bool: ...
    @property
    def ranking(self) -> Sequence[Line]: ...
    def text(self, value: float) -> str:
        """A number with its unit."""


@dataclass(frozen=True)
class Voice:
    """What an adviser says of one edit: `block influence 0.03, 1st of 10`."""

    advised: Advised
    rank: int
    of: int
    value: float

    def __str__(self) -> str:
        return f"{self.advised.called} {self.advised.text(self.value)}, rank {self.rank} of {self.of}"


def voices(advice: Iterable[Advised]) -> dict[tuple[str, frozenset[str]], list[Voice]]:
    """What the advisers say, by the operation and the paths that it is about."""
    found: dict[tuple[str, frozenset[str]], list[Voice]] = {}
    for advised in advice:
        for line in advised.ranking:
            if all(item.index is None for item in line.items):
                key = advised.edit, frozenset(_about(advised, line))
                found.setdefault(key, []).append(Voice(advised, line.rank, len(advised.ranking), line.value))
    return found


def _about(advised: Advised, line: Line) -> list[str]:
    """The paths of a line that its edit is about."""
    return [path for item in line.items for path in (item.paths if advised.together else (item.path,))]


def proposed(advised: Advised, most: int) -> Iterator[tuple[Operation, Voice]]:
    """The edits that come first in an adviser's ranking, as steps; of a pair the later is made of the
    earlier.

    What the operation cannot be made of, such as one head of many, is passed over.
    """
    for line in advised.ranking[:most]:
        paths = _about(advised, line)
        if any(item.index is not None for item in line.items) or not all(paths):
            continue
        try:
            operation = operation_named(advised.edit)
            step = operation.of(paths, together=True) if advised.together else operation.of(*reversed(paths))
        except SurgeryError:
            continue
        yield step, Voice(advised, line.rank, len(advised.ranking), line.value)
