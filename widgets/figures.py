"""Figures as people read them: sizes, changes, and whether a change is for the better."""

from __future__ import annotations

from typing import Any, Literal

from graph.costs import Costs
from graph.units import short
from surgery.evaluate import Figure, Report
from surgery.evaluate.report import figure_now
from surgery.preview import Preview

Tone = Literal["better", "worse", "none"]
MINUS = "−"
TIPS = {"agreement": "how often the likeliest answer is the one before surgery"}


def signed(number: float, unit: str = "") -> str:
    """A change with its sign: `−147 k`, `+0.27`; `0` stays without."""
    text = short(abs(number), unit)
    return text if number == 0 else f"{'+' if number > 0 else MINUS}{text}"


def percent(before: float, after: float) -> str:
    """A relative change: `−8.1 %`; empty without a base."""
    if not before or before == after:
        return ""
    change = 100 * (after - before) / before
    return f"{'+' if change > 0 else MINUS}{abs(change):.1f} %"


def less_is_better(before: float, after: float) -> Tone:
    """The tone of a change in a cost."""
    return "none" if before == after else "better" if after < before else "worse"


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
    if now.macs:
        found.append(
            cost_figure(
                f"MACs per {now.unit}", base.macs_per_token, now.macs_per_token, "", "multiply-accumulates"
            )
        )
    return found + [quality_figure(figure, report) for figure in _foremost(report)] if report else found


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


def _foremost(report: Report) -> list[Figure]:
    """What the top bar has room for: figures before and after, and the first beside the original."""
    both = [figure for figure in report.results if figure.before is not None][:2]
    return both + [figure for figure in report.results if figure.before is None][:1]


def title(figure: Figure) -> str:
    """The figure's name as a heading; a module's path stays as it is."""
    return figure.name if "." in figure.name else figure.name[:1].upper() + figure.name[1:]


def change_text(figure: Figure) -> str:
    """`+0.27 ± 0.03`, or that the change cannot be told from none."""
    half = figure.half_width
    width = f" ± {half:{'.2f' if half >= 0.005 else '.1g'}}" if half else ""
    sign = "+" if figure.difference >= 0 else MINUS
    text = f"{sign}{abs(figure.difference):.2f}{width}"
    return f"{text}, not measurable" if figure.no_change else text


def tone(figure: Figure) -> Tone:
    """Better or worse only where there is a before, and the interval excludes zero."""
    if figure.before is None or figure.no_change:
        return "none"
    return "better" if (figure.difference > 0) == (figure.better == "higher") else "worse"


def preview_rows(preview: Preview) -> list[dict[str, Any]]:
    """The rows of the dry run: what changes, then in one row what does not."""
    rows: list[dict[str, Any]] = []
    unchanged: list[str] = []
    for label, before, after, bound in preview.rows():
        was, now = before or 0, after or 0
        if was == now:
            unchanged.append(label)
            continue
        unit = "B" if label in ("Bytes", "KV cache per token") else ""
        relative = percent(was, now)
        text = f"{'≤ ' if bound else ''}{signed(now - was, unit)}" + (f" ({relative})" if relative else "")
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
    rows = [figure_row(figure, report) for figure in report.results]
    rows.append(
        {
            "label": "Parameters",
            "before": short(parameters[0]),
            "after": short(parameters[1]),
            "change": percent(*parameters),
            "interval": "",
            "tone": less_is_better(*parameters),
        }
    )
    amount = report.amount + (f", {report.tokens:,} tokens" if report.tokens else "")
    note = f"{report.data}; {amount}, {report.seconds:.1f} s, {report.device}"
    sentence = sentence_of(report, parameters)
    return {
        "title": "Evaluation",
        "sentence": sentence,
        "rows": rows,
        "note": " ".join([f"{note}.", *report.notes]),
        "empty": None,
    }


def figure_row(figure: Figure, report: Report) -> dict[str, Any]:
    """A row of the report panel."""
    per = "token" if report.tokens else report.noun
    unit = f", {figure.unit} per {per}" if figure.unit not in ("", "%") else ""
    row = {"label": title(figure) + unit, "before": "", "change": "", "interval": "", "tone": tone(figure)}
    interval, percent = figure.interval, " %" if figure.unit == "%" else ""
    if figure.before is None:
        places = figure.decimals if percent else figure.decimals + 1
        row["after"] = f"{figure.after:.{places}f}{percent}"
        if interval:
            row["interval"] = f"{interval.low:.{places}f}{percent} to {interval.high:.{places}f}{percent}"
        return row
    places = figure.decimals + (0 if percent else 1)
    row["before"], row["after"] = (
        f"{figure.before:.{places}f}{percent}",
        f"{figure.after:.{places}f}{percent}",
    )
    row["change"] = f"{figure.difference:+.{places}f}".replace("-", MINUS)
    if interval:
        row["interval"] = f"{interval.low:+.{places}f} to {interval.high:+.{places}f}".replace("-", MINUS)
    return row


def sentence_of(report: Report, parameters: tuple[int, int]) -> str:
    """`perplexity 3.44 → 3.71, +0.27 ± 0.03 (…), agreement 91 %, 2.9 M → 2.6 M parameters`."""
    parts = ["no change" if report.unchanged else ""]
    for figure in _foremost(report):
        if figure.before is None:
            places = 0 if figure.unit == "%" else figure.decimals
            unit = f" {figure.unit}" if figure.unit else ""
            parts.append(f"{figure.name} {figure.after:.{places}f}{unit}")
        else:
            shown = figure_now(figure) if report.unchanged else f"{figure.name} {figure.text()}"
            parts.append(shown)
    before, after = (short(count) for count in parameters)
    parts.append(f"{before} → {after} parameters" if before != after else f"{after} parameters")
    return ", ".join(part for part in parts if part)
