"""What each of many edits would cost: the last sweep on the way to the current state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgery.evaluate.sweep.bars import bars, figure_of
from surgery.picture import PAGE
from surgery.picture.states import picture_of_state
from surgery.report.charts import bars_chart
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
    unit = figure_of(report[0], report).unit
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
