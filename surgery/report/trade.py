"""Size against quality: every state that was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgery.evaluate.figure import number
from surgery.report.charts import states_chart
from surgery.report.markup import figure, note, section, table
from surgery.show.states import Point, points

if TYPE_CHECKING:
    from surgery.session import Session


def trade(session: Session) -> str:
    """The chart of the measured states and a table of them; empty while there is only one."""
    found = points(session)
    if len(found) < 2:
        return ""
    timed = next((point for point in found if point.latency_ms is not None), None)
    columns = ["state", "parameters", found[0].metric, "95 % half-width"]
    columns += [] if timed is None else ["ms each, where timed"]
    rows = [
        (
            f"{place}  {point.label}",
            f"{point.parameters:,}",
            number(point.value, 3),
            f"± {number(point.half_width, 3)}" if point.half_width else "",
            *([] if timed is None else [_pace(point)]),
        )
        for place, point in enumerate(found)
    ]
    here = next((place for place, point in enumerate(found) if point.current), None)
    return section(
        "Size against quality",
        figure(
            f"Size against {found[0].metric}",
            "a point per measured state; none is smaller and better than those on the line",
            states_chart(found),
        ),
        table(columns, rows, here),
        note(_unequal(session)),
    )


def _pace(point: Point) -> str:
    return "" if point.latency_ms is None else number(point.latency_ms, 2)


def _unequal(session: Session) -> str:
    """That states saw different amounts of data, which their intervals do not tell."""
    amounts = sorted({state.report.examples for state in session.history if state.report})
    if len(amounts) < 2:
        return ""
    return f"States were measured on different numbers of examples, {amounts[0]:,} to {amounts[-1]:,}."
