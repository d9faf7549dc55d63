"""What a sweep found, as colours on the graph: a number from 0 to 1 per path, and a legend with its unit."""

from __future__ import annotations

from math import isfinite, log1p
from statistics import median

from surgery.evaluate.figure import number
from surgery.evaluate.sweep import SweepReport

FAR = 8.0
"""An edit that costs so many times the median leaves all others one colour: colours are logarithmic then."""


def colours(report: SweepReport | None) -> tuple[dict[str, str] | None, dict[str, float] | None]:
    """Legend and colours; None without a sweep, or of one that measured nothing."""
    if report is None or not report.measured:
        return None, None
    costs = report.scores
    low, high = min(costs.values()), max(costs.values())
    known = [cost for cost in costs.values() if isfinite(cost)]
    most = max(known, default=0.0)  # what costs without end has the colour of the dearest that is known
    above = {path: min(cost, most) - min(low, most) for path, cost in costs.items()}
    middle = median(above.values())
    if middle > 0 and max(above.values()) > FAR * middle:
        above = {path: log1p(cost / middle) for path, cost in above.items()}
    most = max(above.values()) or 1.0
    ends = [cost_text(report, cost) for cost in (low, high)]
    legend = {"title": f"{report.by} after {report[0].step.name}", "low": ends[0], "high": ends[1]}
    return legend, {path: cost / most for path, cost in above.items()}


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
