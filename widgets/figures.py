"""Figures for the top bar, the dry run and the report panel, in the words of `surgery.evaluate.wording`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from graph.costs import Costs
from graph.units import short
from surgery.evaluate import Figure, Report
from surgery.evaluate.wording import (
    change_text,
    circumstances,
    cost_line,
    figure_line,
    foremost,
    less_is_better,
    percent,
    sentence_of,
    signed,
    title,
    tone,
)
from surgery.preview import Preview

TIPS = {"agreement": "how often the likeliest answer is the one before surgery"}


def change_of(before: float, after: float, unit: str = "") -> dict[str, str]:
    """A change as words and tone: `−147 k`, or `unchanged`."""
    said = signed(after - before, unit) if before != after else "unchanged"
    return {"text": said, "tone": less_is_better(before, after)}


def cost_figure(label: str, before: float, after: float, unit: str, tip: str) -> dict[str, Any]:
    """One figure of the top bar; before is left empty where nothing changed."""
    return {
        "label": label,
        "before": short(before, unit) if before != after else "",
        "after": short(after, unit),
        "change": percent(before, after),
        "tone": less_is_better(before, after),
        "tip": tip,
    }


def figures(base: Costs, now: Costs, report: Report | None) -> list[dict[str, Any]]:
    """The top bar's figures: costs always, quality only once it was measured in this state."""
    found = [
        cost_figure(
            "Parameters", base.parameters, now.parameters, "", "unique parameters: tied ones count once"
        ),
        cost_figure("Size", base.size_bytes, now.size_bytes, "B", "parameters and buffers in memory"),
    ]
    found += [quality_figure(figure, report) for figure in foremost(report)] if report else []
    if now.macs:  # last: what finds no room is left out
        label = f"MACs per {now.unit}"
        tip = "multiply-accumulates"
        found.append(cost_figure(label, base.macs_per_token, now.macs_per_token, "", tip))
    return found


def quality_figure(figure: Figure, report: Report) -> dict[str, Any]:
    """One measured figure of the top bar."""
    unit = f" {figure.unit}" if figure.unit else ""
    after = f"{figure.after:.{figure.decimals}f}{unit}"
    if figure.before is None:
        half = figure.half_width
        tip = TIPS.get(figure.name, f"beside the original, on {report.data}")
        return {
            "label": title(figure),
            "before": "",
            "after": after,
            "change": f"± {half:.{figure.decimals}f}" if half else "",
            "tone": "none",
            "tip": tip,
        }
    return {
        "label": title(figure),
        "before": "" if figure.unchanged else f"{figure.before:.{figure.decimals}f}",
        "after": after,
        "change": "no change" if figure.unchanged else change_text(figure),
        "tone": tone(figure),
        "tip": f"on {report.data}; ± is the 95 % half-width of the paired change",
    }


def preview_rows(preview: Preview) -> list[dict[str, Any]]:
    """The rows of the dry run: what changes, then in one row what does not."""
    rows: list[dict[str, Any]] = []
    unchanged: list[str] = []
    for label, before, after, bound in preview.rows():
        was, now = before or 0, after or 0
        if was == now and not bound:
            unchanged.append(label)
            continue
        unit = "B" if label in ("Bytes", "KV cache per token") else ""
        relative = percent(was, now)
        text = f"{'≤ ' if bound else ''}{signed(now - was, unit)}" + (f" ({relative})" if relative else "")
        text = "at most as now" if was == now else text
        title = "Size" if label == "Bytes" else label
        rows.append({"label": title, "value": text, "tone": less_is_better(was, now)})
    if unchanged:
        names = ", ".join("Size" if name == "Bytes" else name for name in unchanged)
        rows.append({"label": names, "value": "unchanged", "tone": "none"})
    return rows


def report_state(report: Report | None, parameters: tuple[int, int]) -> dict[str, Any]:
    """The report panel: one sentence, then each figure with its interval."""
    if report is None:
        empty = "Press Evaluate (E): what the edits cost, with intervals."
        return {"title": "Evaluation", "sentence": None, "rows": [], "note": None, "empty": empty}
    lines = [figure_line(figure, report) for figure in report.results]
    lines.append(cost_line("Parameters", *parameters))
    return {
        "title": "Evaluation",
        "sentence": sentence_of(report, parameters),
        "rows": [asdict(line) for line in lines],
        "note": circumstances(report),
        "empty": None,
    }
