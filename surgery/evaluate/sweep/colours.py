"""What a sweep found, as colours on the graph: a number from 0 to 1 per path, and a legend with its unit."""

from __future__ import annotations

from surgery.evaluate.figure import number
from surgery.evaluate.sweep import SweepReport
from surgery.scores import Scores


def costs(report: SweepReport | None) -> Scores | None:
    """What each edit costs, by the path it is made at; None without a sweep that measured something."""
    if report is None or not report.measured:
        return None
    title = f"{report.by} after {report[0].step.name}"
    return Scores(title, report.scores, lambda cost: cost_text(report, cost))


def effects(report: SweepReport | None) -> dict[str, list[str]]:
    """Per path what the edit there was measured to cost, as a line: `remove: perplexity +0.49`."""
    if report is None or not report.measured:
        return {}
    step = report[0].step.name
    return {path: [f"{step}: {report.by} {cost_text(report, cost)}"] for path, cost in report.scores.items()}


def cost_text(report: SweepReport, cost: float) -> str:
    """A cost as the change of the figure, in its unit: `+0.49`, `−1.00 %`."""
    figure = next(figure for figure in report[0].figures if report.by in (figure.name, figure.task))
    change = cost if figure.better == "lower" else -cost
    unit = f" {figure.unit}" if figure.unit else ""
    return f"{number(change, figure.decimals, signed=True)}{unit}"
