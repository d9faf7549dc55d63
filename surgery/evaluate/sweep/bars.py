"""What each edit of a sweep costs, as bars with intervals, told apart by as short a name as can be."""

from __future__ import annotations

from dataclasses import dataclass

from surgery.evaluate.figure import Figure
from surgery.evaluate.sweep import Row, SweepReport, paths_of
from surgery.evaluate.sweep.colours import cost_text, costs
from surgery.operation import Operation


@dataclass(frozen=True)
class Bar:
    """What an edit costs, with its interval; `score` is its colour on the graph."""

    label: str
    step: Operation
    cost: float
    low: float | None
    high: float | None
    score: float
    text: str


def figure_of(row: Row, report: SweepReport) -> Figure:
    """The figure that the sweep ranks by, of one of its edits."""
    return next(figure for figure in row.figures if report.by in (figure.name, figure.task))


def bars(report: SweepReport) -> list[Bar]:
    """A bar per measured edit, in the order of the places they are made at."""
    found = costs(report)
    scores = found.parts if found else {}
    rows = sorted(report.measured, key=lambda row: tuple(map(_natural, paths_of(row.step))))
    places = [paths_of(row.step) for row in rows]
    made = []
    for row, paths, name in zip(rows, places, _names(places), strict=True):
        score = scores.get(paths[0], 0.0) if paths else 0.0
        cost = row.cost(report.by)
        low, high = _interval(figure_of(row, report))
        made.append(Bar(name, row.step, cost, low, high, score, cost_text(report, cost)))
    return made


def _names(places: list[tuple[str, ...]]) -> list[str]:
    """As much of the paths as tells the edits apart, three segments at the most."""
    for size in (1, 2, 3):
        ends = [[".".join(path.split(".")[-size:]) for path in paths] for paths in places]
        names = ["–".join(dict.fromkeys([*end[:1], *end[-1:]])) for end in ends]
        if len(set(names)) == len(names):
            break
    return names


def _interval(figure: Figure) -> tuple[float | None, float | None]:
    """Of the cost: how much worse, at least and at most."""
    if figure.interval is None:
        return None, None
    base = (figure.perfect or 0.0) if figure.before is None else 0.0
    low, high = figure.interval.low - base, figure.interval.high - base
    return (low, high) if figure.better == "lower" else (-high, -low)


def _natural(path: str) -> tuple[tuple[int, str], ...]:
    """A path's place in an order in which 10 comes after 9."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in path.split("."))
