"""Ties that are different between two graphs whose modules are paired."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graph.diff.align import Alignment
from graph.diff.sequences import best
from graph.nodes import ModuleGraph, Tie
from graph.tree import join


@dataclass(frozen=True, slots=True)
class Retied:
    """A tie that appeared (`before` empty), vanished (`after` empty) or has other members.

    `before` and `after` are all its paths in either graph. `left` are the paths in `before` that are
    no longer in it, `joined` those in `after` that are new in it.
    """

    kind: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    left: tuple[str, ...]
    joined: tuple[str, ...]


def retied(before: ModuleGraph, after: ModuleGraph, found: Alignment) -> Iterator[Retied]:
    """Ties paired by how many members they have in common, most first."""
    there = {(tie.kind, path): j for j, tie in enumerate(after.ties) for path in tie.paths}
    shared: Counter[tuple[int, int]] = Counter()
    for i, tie in enumerate(before.ties):
        for path in tie.paths:
            j = there.get((tie.kind, _carried(tie, path, found.to_after) or ""))
            if j is not None:
                shared[i, j] += 1
    partner = dict(best(shared))
    for i, tie in enumerate(before.ties):
        other = after.ties[partner[i]] if i in partner else None
        now = other.paths if other else ()
        was, are = set(tie.paths), set(now)
        left = tuple(path for path in tie.paths if _carried(tie, path, found.to_after) not in are)
        joined = tuple(path for path in now if _carried(tie, path, found.to_before) not in was)
        if left or joined:
            yield Retied(tie.kind, tie.paths, now, left, joined)
    known = set(partner.values())
    for j, tie in enumerate(after.ties):
        if j not in known:
            yield Retied(tie.kind, (), tie.paths, (), tie.paths)


def _carried(tie: Tie, path: str, across: Mapping[str, str]) -> str | None:
    """The path of a tie's member in the other graph; None if its module has no partner there."""
    if tie.kind == "module":
        return across.get(path)
    owner, _, name = path.rpartition(".")
    return join(across[owner], name) if owner in across else None
