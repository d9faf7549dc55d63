"""What advisers said: of the last state on the way to the current one that any was asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgery.report.charts import WIDTH
from surgery.report.markup import figure, folded, note, section
from surgery.show.states import label

if TYPE_CHECKING:
    from surgery.session import Session


def advised(session: Session) -> str:
    """A chart per adviser, with its ranking in words; empty where none was asked."""
    line = session.history.current.lineage()
    state = next((state for state in reversed(line) if state.advice), None)
    if state is None:
        return ""
    where = "of the model as it was opened" if state.step is None else f"after {label(state)}"
    parts = []
    for advice in state.advice.values():
        if (chart := advice.chart()) is not None:
            parts.append(figure(advice.title, f"{where}; {advice.promise}", chart.svg(WIDTH, theme="page")))
        parts.append(note(" ".join([f"{advice.source}. {advice.grounds}.", *advice.notes])))
        parts.append(folded(f"{advice.title}, ranked", str(advice)))
    return section("What advisers said", *parts)
