"""What was measured of a state, as bars and histograms with their units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graph.nodes import ModuleGraph
from graph.units import short
from surgery.evaluate import Report
from surgery.evaluate.speed import SpeedReport
from surgery.evaluate.sweep import SweepReport
from surgery.evaluate.sweep.bars import Bar, bars
from surgery.evaluate.sweep.colours import cost_text
from surgery.evaluate.sweep.report import paths_of
from surgery.histograms import Histogram
from surgery.show.states import words


def sweep_bars(sweep: SweepReport | None, graph: ModuleGraph) -> dict[str, Any] | None:
    """What each edit of a sweep costs, in the order of the places, with its interval; None without one."""
    if sweep is None or not sweep.measured:
        return None
    verb = sweep[0].step.name
    return {
        "title": f"{sweep.by} after {verb}, beside the model as it is",
        "note": f"{sweep.data}; {sweep.examples:,} {sweep.noun}s, one pass, {sweep.seconds:.1f} s",
        "bars": [
            {
                "path": next((path for path in paths_of(bar.step) if path in graph), ""),
                "label": bar.label,
                "value": bar.cost,
                "low": bar.cost if bar.low is None else bar.low,
                "high": bar.cost if bar.high is None else bar.high,
                "text": f"{words(bar.step)}: {sweep.by} {bar.text}{_range(sweep, bar)}",
            }
            for bar in bars(sweep)
        ],
    }


def _range(sweep: SweepReport, bar: Bar) -> str:
    """Its interval in words."""
    ends = [cost_text(sweep, end) for end in (bar.low, bar.high) if end is not None]
    return f" ({' to '.join(ends)})" if ends else ""


def layer_bars(report: Report | None, graph: ModuleGraph) -> dict[str, Any] | None:
    """How far each block's output is from what it gave before surgery: one less the cosine."""
    if report is None:
        return None
    found = []
    for figure in report.results:
        half, path = figure.half_width, graph.by_origin.get(figure.name, "")
        value = 1.0 - figure.after
        found.append(
            {
                "path": path,
                "label": figure.name.rpartition(".")[2],
                "value": value,
                "low": max(0.0, value - half),
                "high": value + half,
                "text": f"{figure.name}: cosine {figure.after:.4f}",
            }
        )
    return {
        "title": "1 − cosine of each block's output with that before surgery",
        "note": f"{report.data}; {report.amount}, {report.seconds:.1f} s",
        "bars": found,
    }


def histogram_state(title: str, found: Histogram) -> dict[str, Any]:
    """A histogram with its figures in words."""
    lines = [f"{found.count:,} values, mean {found.mean:.3g}, deviation {found.deviation:.3g}"]
    if found.zeros:
        lines.append(f"{100 * found.zeros:.1f} % are zero")
    if found.broken:
        lines.append(f"{found.broken:,} are no numbers")
    return {
        "title": title,
        "low": f"{found.low:.3g}",
        "high": f"{found.high:.3g}",
        "zero": -found.low / (found.high - found.low) if found.low < 0 < found.high else None,
        "counts": list(found.counts),
        "lines": lines,
    }


def speed_rows(report: SpeedReport | None) -> list[dict[str, Any]]:
    """Rows of the table of speed: before, after, and how many times as quick."""
    return [] if report is None else list(_speed_rows(report))


def _speed_rows(report: SpeedReport) -> Iterator[dict[str, Any]]:
    for pace in report.paces:
        before, after = (pace.items / seconds for seconds in (pace.before_s, pace.after_s))
        better = "none" if pace.no_change else "better" if pace.speedup > 1 else "worse"
        yield {
            "label": f"{pace.what}, {pace.unit}/s",
            "before": short(before),
            "after": short(after),
            "change": "no measurable change" if pace.no_change else f"× {pace.speedup:.2f}",
            "interval": "" if pace.no_change else f"× {pace.interval.low:.2f} to × {pace.interval.high:.2f}",
            "tone": better,
        }
    for label, (was, now) in (("Peak memory", report.peak_bytes), ("On disk", report.stored_bytes)):
        yield {
            "label": label,
            "before": short(was, "B"),
            "after": short(now, "B"),
            "change": f"{100 * (now - was) / was:+.1f} %".replace("-", "−") if was and was != now else "",
            "interval": "",
            "tone": "none" if was == now else "better" if now < was else "worse",
        }
