"""What each of many edits would cost: the last sweep on the way to the current state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgery.evaluate.figure import Figure
from surgery.evaluate.sweep import Row, SweepReport, paths_of
from surgery.evaluate.sweep.colours import colours, cost_text
from surgery.picture import PAGE
from surgery.picture.states import picture_of_state
from surgery.report.charts import Bar, bars_chart
from surgery.report.markup import figure, folded, note, section
from surgery.show.states import label

if TYPE_CHECKING:
    from surgery.session import Session


def swept(session: Session) -> str:
    """The bars of the sweep; empty where none was made or nothing was measured."""
    line = session.history.current.lineage()
    state = next((state for state in reversed(line) if state.sweep and state.sweep.measured), None)
    if state is None or state.sweep is None:
        return ""
    report = state.sweep
    verb = report[0].step.name
    unit = _figure(report[0], report).unit
    caption = f"{report.by}{f', {unit}' if unit else ''}: how much worse after {verb}"
    where = "on the model as it was opened" if state.step is None else f"after {label(state)}"
    drawn = ""
    if state not in (session.history.base, session.history.current) and state.graph is not None:
        drawn = figure(
            "The model that was swept", where, picture_of_state(session, state, None, PAGE, title=where)
        )
    amount = f"{report.examples:,} {report.noun}{'' if report.examples == 1 else 's'}"
    told = f"{report.data}; {amount}, {report.seconds:.1f} s, {report.device}."
    return section(
        "What each edit would cost",
        drawn,
        figure(caption, f"{where}, with 95 % intervals", bars_chart(bars(report), caption)),
        note(" ".join([told, *report.notes])),
        folded("All of them, best first", str(report)),
    )


def bars(report: SweepReport) -> list[Bar]:
    """A bar per measured edit, in the order of the places they are made at."""
    _, scores = colours(report)
    rows = sorted(report.measured, key=lambda row: tuple(map(_natural, paths_of(row.step))))
    places = [paths_of(row.step) for row in rows]
    made = []
    for row, paths, name in zip(rows, places, _names(places), strict=True):
        score = (scores or {}).get(paths[0], 0.0) if paths else 0.0
        cost = row.cost(report.by)
        low, high = _interval(_figure(row, report))
        made.append(Bar(name, cost, low, high, score, cost_text(report, cost)))
    return made


def _names(places: list[tuple[str, ...]]) -> list[str]:
    """As much of the paths as tells the edits apart, three segments at the most."""
    for size in (1, 2, 3):
        ends = [[".".join(path.split(".")[-size:]) for path in paths] for paths in places]
        names = ["–".join(dict.fromkeys([*end[:1], *end[-1:]])) for end in ends]
        if len(set(names)) == len(names):
            break
    return names


def _figure(row: Row, report: SweepReport) -> Figure:
    return next(figure for figure in row.figures if report.by in (figure.name, figure.task))


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
