"""The figures before and after: the foremost at the top, all of them in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.costs import Costs, costs
from graph.nodes import ModuleGraph
from surgery.evaluate import Report
from surgery.evaluate.wording import (
    Line,
    change_text,
    circumstances,
    cost_line,
    figure_line,
    foremost,
    sentence_of,
    title,
    tone,
)
from surgery.picture.text import safe
from surgery.report.markup import note, section

if TYPE_CHECKING:
    from surgery.session import Session

NOT_MEASURED = (
    "What this costs in quality was not measured: `s.evaluate()` before the report is written does."
)
EXPLAINED = "Intervals are of 95 %, from a paired bootstrap over the examples."


def headline(session: Session, graph: ModuleGraph) -> list[str]:
    """The sentence of the evaluation, and tiles with what changed."""
    base, now = _costs(session, graph)
    report = session.history.current.report
    sentence = sentence_of(report, (base.parameters, now.parameters)) if report else ""
    tiles = [_tile(line) for line in cost_lines(base, now)[:2]]
    tiles += _measured_tiles(report) if report else []
    lead = f'<p class="lead">{safe(sentence[:1].upper() + sentence[1:])}.</p>' if sentence else ""
    return [lead, f'<ul class="tiles">{"".join(tiles)}</ul>']


def measured(session: Session, graph: ModuleGraph) -> str:
    """The table of all figures, with what they were measured on."""
    base, now = _costs(session, graph)
    report = session.history.current.report
    lines = [figure_line(figure, report) for figure in report.results] if report else []
    lines += cost_lines(base, now)
    titles = "".join(f'<th scope="col">{name}</th>' for name in ("", "before", "after", "change"))
    rows = f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(map(_row, lines))}</tbody></table>"
    said = [note(circumstances(report)), note(EXPLAINED)] if report else [note(NOT_MEASURED)]
    return section("Figures", rows, *said)


def cost_lines(base: Costs, now: Costs) -> list[Line]:
    """What the model takes, before and after; only what is known of both."""
    lines = [
        cost_line("Parameters", base.parameters, now.parameters),
        cost_line("Size", base.size_bytes, now.size_bytes, "B"),
    ]
    if now.macs:
        lines.append(cost_line(f"MACs per {now.unit}", base.macs_per_token, now.macs_per_token))
    if base.kv_bytes_per_token and now.kv_bytes_per_token is not None:
        lines.append(cost_line("KV cache per token", base.kv_bytes_per_token, now.kv_bytes_per_token, "B"))
    return lines


def _costs(session: Session, graph: ModuleGraph) -> tuple[Costs, Costs]:
    return costs(session.history.base.graph or graph), costs(graph)


def _tile(line: Line) -> str:
    return _tiled(
        line.label, line.before if line.before != line.after else "", line.after, line.change, line.tone
    )


def _measured_tiles(report: Report) -> list[str]:
    """The same figures as in the sentence."""
    tiles = []
    for figure in foremost(report):
        line = figure_line(figure, report)
        if figure.before is None:
            tiles.append(_tiled(line.label, "", line.after, line.interval, "none"))
        else:
            change = "no change" if figure.unchanged else change_text(figure)
            tiles.append(_tiled(title(figure), line.before, line.after, change, tone(figure)))
    return tiles


def _tiled(label: str, before: str, after: str, change: str, tone: str) -> str:
    was = f"<i>{safe(before)} →</i> " if before else ""
    more = f'<small class="{tone}">{safe(change)}</small>' if change else ""
    return f"<li><span>{safe(label)}</span>{was}<b>{safe(after)}</b>{more}</li>"


def _row(line: Line) -> str:
    interval = f"<small>{safe(line.interval)}</small>" if line.interval else ""
    change = f'<span class="{line.tone}">{safe(line.change)}</span>' if line.change else ""
    before = line.before if line.before else ""
    return (
        f'<tr><th scope="row">{safe(line.label)}</th><td class="none">{safe(before)}</td>'
        f"<td><b>{safe(line.after)}</b></td><td>{change}{interval}</td></tr>"
    )
