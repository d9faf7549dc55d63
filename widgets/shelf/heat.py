"""How far parents lie from the model and from each other, per cell: compared in parts, and as colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from graph.naming import selector_of
from graph.nodes import ModuleGraph
from graph.paths import is_below
from graph.rollup import rollup
from surgery.fields import Parent
from surgery.merging.kinship import Kin, Kinship, kinship
from surgery.merging.vocabularies import Vocabulary
from surgery.scores import FAR
from surgery.session import Session
from widgets.shelf.row import Row

FIGURES: dict[str, str] = {
    "moved": "Distance",
    "cosine": "Cosine",
    "conflicts": "Sign conflicts",
}
UNITS = {
    "moved": "of the norm",
    "cosine": "of task vectors",
    "conflicts": "of elements",
}
UNASKED_BYTES = 64 * 2**20
"""What may be read for a comparison that nobody asked for."""

Values = dict[str, dict[str, float]]
"""By alias and the path of a cell."""


@dataclass(frozen=True)
class Job:
    """Parents that are compared on the cells where all of them fit."""

    parents: tuple[Parent, ...]
    paths: tuple[str, ...]


def jobs(rows: Sequence[Row], paths: Sequence[str]) -> list[Job]:
    """All parents together where all fit, and each by itself where only it and not all do."""
    together = tuple(path for path in paths if all(row.fits(path) for row in rows))
    found = [Job(tuple(row.parent for row in rows), together)] if together and rows else []
    for row in rows:
        rest = tuple(path for path in paths if row.fits(path) and path not in together)
        found += [Job((row.parent,), rest)] if rest else []
    return found


def compared(
    session: Session,
    graph: ModuleGraph,
    work: Sequence[Job],
    vocabulary: Vocabulary,
    progress: Callable[[float, str], None],
) -> dict[str, Values]:
    """The three figures of every cell of the jobs."""
    found: dict[str, Values] = {name: {} for name in FIGURES}
    for number, job in enumerate(work):
        made = kinship(
            session,
            job.parents,
            selector_of(list(job.paths), graph),
            progress=lambda part, label, number=number: progress((number + part) / len(work), label),  # type: ignore[misc]
            vocabulary=vocabulary,
        )
        for path in job.paths:
            _enter(found, made, path, made.under(path) or _tied(graph, made, path))
    return found


def bytes_read(graph: ModuleGraph, work: Sequence[Job]) -> int:
    """About how much a comparison reads, if parents are stored as the model is."""
    shares = rollup(graph)
    return sum(shares[path].size_bytes * (1 + len(job.parents)) for job in work for path in job.paths)


def legend(figure: str, values: Values) -> dict[str, object] | None:
    """Unit and ends of the colours, distances and conflicts from zero; logarithmic if there is a `middle`."""
    known = [value for row in values.values() for value in row.values()]
    if not known:
        return None
    low = min(0.0, min(known)) if figure != "cosine" else min(known)
    high = max(known)
    if figure == "cosine" and high - low < 1e-3:
        low, high = min(0.0, low), max(0.0, high)
    middle = median(known) - low
    far = middle if figure != "cosine" and 0 < FAR * middle < high - low else None
    ends = {"low": said(figure, low), "high": said(figure, high)}
    return {"unit": UNITS[figure], **ends, "from": low, "to": high, "middle": far}


def said(figure: str, value: float) -> str:
    """A figure as text: a share in per cent, a cosine with its sign."""
    if figure == "cosine":
        return f"{value:.2f}".replace("-", "−")
    return f"{100 * value:.3g} %"


def _tied(graph: ModuleGraph, made: Kinship, path: str) -> Kin | None:
    """What a cell shows whose tensors are counted at the first of their paths, elsewhere."""
    for tie in graph.ties:
        if any(is_below(place, path) for place in tie.paths):
            for place in tie.paths:
                if (kin := made.under(place)) is not None:
                    return kin
    return None


def _enter(found: dict[str, Values], made: Kinship, path: str, kin: Kin | None) -> None:
    if kin is None:
        return
    pairs = list(zip(combinations(range(len(made.parents)), 2), kin.cosines, strict=True))
    for place, alias in enumerate(made.parents):
        if not math.isnan(kin.moved[place]):
            found["moved"].setdefault(alias, {})[path] = kin.moved[place]
        mine = [cosine for pair, cosine in pairs if place in pair and not math.isnan(cosine)]
        if mine:
            found["cosine"].setdefault(alias, {})[path] = sum(mine) / len(mine)
        if pairs:
            found["conflicts"].setdefault(alias, {})[path] = kin.conflicts
