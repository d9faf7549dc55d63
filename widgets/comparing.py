"""Two states side by side: their figures, their blocks aligned by origin, and what is different in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graph.costs import costs
from graph.diff import GraphDiff, diff
from graph.diff.align import align
from graph.flow import overview
from graph.nodes import ModuleGraph
from graph.paths import is_below
from surgery.evaluate import Report
from surgery.evaluate.wording import title
from surgery.session import Session
from surgery.show.diff import diff_lines
from surgery.show.states import label
from widgets.figures import cost_figure

Column = tuple[str | None, str | None]


def comparison(session: Session, other: int | None) -> dict[str, Any] | None:
    """The compare state of protocol.ts: the state `other` beside the current one; None if there is none."""
    states = {state.id: state for state in session.history}
    before, after = states.get(-1 if other is None else other), session.history.current
    if before is None or before is after or before.graph is None or after.graph is None:
        return None
    one, two = before.graph, after.graph
    found = diff(one, two, same_base=True)
    across = align(one, two, same_base=True).to_after
    touched = _touched(found)
    drawn = _columns(overview(one).paths, overview(two).paths, across)
    columns = [_column(column, one, two, touched) for column in drawn]
    return {
        "before": {"id": before.id, "label": label(before)},
        "after": {"id": after.id, "label": label(after)},
        "figures": _figures(one, two, before.report, after.report),
        "columns": columns,
        "changes": [line.plain for line in diff_lines(found)][:-1],  # the last are the sums, shown above
        "same": not found,
    }


def _columns(one: Sequence[str], two: Sequence[str], across: Mapping[str, str]) -> Iterator[Column]:
    """Both orders in one: what is a partner stands in one column, unless it moved past another."""
    there = {path: place for place, path in enumerate(two)}
    done = 0
    for path in one:
        place = there.get(across.get(path, ""), -1)
        if place < done:
            yield path, None
            continue
        for new in two[done:place]:
            yield None, new
        yield path, two[place]
        done = place + 1
    for new in two[done:]:
        yield None, new


def _column(column: Column, one: ModuleGraph, two: ModuleGraph, touched: set[str]) -> dict[str, Any]:
    before, after = column
    if after is None:
        mark = "remove"
    elif before is None:
        mark = "new"
    else:
        changed = any(is_below(path, after) for path in touched)
        mark = "changed" if changed or one[before].structure != two[after].structure else ""
    return {"before": _name(before), "after": _name(after), "mark": mark, "path": after or before}


def _name(path: str | None) -> str | None:
    return None if path is None else path.rpartition(".")[2]


def _touched(found: GraphDiff) -> set[str]:
    """Paths after it of what is there on both sides and is no longer the same."""
    ties = (path for tie in found.retied for path in (*tie.left, *tie.joined))
    resized = (item.after.path for item in found.resized if item.after is not None)
    values = (item.after for item in found.revalued)
    return {*ties, *resized, *(item.after for item in found.changed), *values}


def _figures(
    one: ModuleGraph, two: ModuleGraph, before: Report | None, after: Report | None
) -> list[dict[str, Any]]:
    was, now = costs(one), costs(two)
    rows = [
        cost_figure("Parameters", was.parameters, now.parameters, "", ""),
        cost_figure("Size", was.size_bytes, now.size_bytes, "B", ""),
    ]
    if now.macs or was.macs:
        rows.append(cost_figure(f"MACs per {now.unit}", was.macs_per_token, now.macs_per_token, "", ""))
    for row in rows:
        row["before"] = row["before"] or row["after"]  # on both sides, also where nothing changed
    return rows + list(_measured(before, after))


def _measured(before: Report | None, after: Report | None) -> Iterator[dict[str, Any]]:
    """Figures that were measured in both states, each against the original."""
    for figure in after.results if after else ():
        other = before.get(figure.name) if before else None
        unit = f" {figure.unit}" if figure.unit else ""
        if other is not None:
            change = figure.after - other.after
            better = (change > 0) == (figure.better == "higher")
            yield {
                "label": title(figure),
                "before": f"{other.after:.{figure.decimals}f}{unit}",
                "after": f"{figure.after:.{figure.decimals}f}{unit}",
                "change": f"{change:+.{figure.decimals}f}".replace("-", "−"),
                "tone": "none" if change == 0 else "better" if better else "worse",
                "tip": "each measured against the original; the difference has no interval of its own",
            }
