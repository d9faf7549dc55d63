"""Figures as people read them: sizes, changes, and whether a change is for the better."""

from __future__ import annotations

from typing import Any, Literal

from graph.costs import Costs
from graph.units import short
from surgery.evaluate import Report
from surgery.preview import Preview

Tone = Literal["better", "worse", "none"]
MINUS = "−"


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
    if report is None:
        return found
    if report.perplexity is not None:
        found.append(
            {
                "label": "Perplexity",
                "before": "" if report.unchanged else f"{report.perplexity.before:.2f}",
                "after": f"{report.perplexity.after:.2f}",
                "change": "no change" if report.unchanged else change_text(report),
                "tone": perplexity_tone(report),
                "tip": f"on {report.data}; ± is the 95 % half-width of the paired change",
            }
        )
    width = report.agreement.interval
    found.append(
        {
            "label": "Agreement",
            "before": "",
            "after": f"{report.agreement.value:.1f} %",
            "change": f"± {width.half_width:.1f}" if width and width.half_width else "",
            "tone": "none",
            "tip": "how often the most likely token is the one before surgery",
        }
    )
    return found


def change_text(report: Report) -> str:
    """`+0.27 ± 0.03`, or that the change cannot be told from none."""
    change = report.perplexity
    if change is None:
        return ""
    half = change.interval.half_width if change.interval else 0.0
    width = f" ± {half:{'.2f' if half >= 0.005 else '.1g'}}" if half else ""
    sign = "+" if change.difference >= 0 else MINUS
    text = f"{sign}{abs(change.difference):.2f}{width}"
    return f"{text}, not measurable" if change.no_change else text


def perplexity_tone(report: Report) -> Tone:
    """Better or worse only where the interval excludes zero."""
    change = report.perplexity
    if change is None or change.no_change:
        return "none"
    return "worse" if change.difference > 0 else "better"


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
        empty = "Press Evaluate (E): fidelity to the original and perplexity, with intervals."
        return {"title": "Evaluation", "sentence": None, "rows": [], "note": None, "empty": empty}
    rows: list[dict[str, Any]] = []
    change = report.perplexity
    if change is not None:
        low, high = (change.interval.low, change.interval.high) if change.interval else (0.0, 0.0)
        rows.append(
            {
                "label": "Perplexity",
                "before": f"{change.before:.3f}",
                "after": f"{change.after:.3f}",
                "change": f"{change.difference:+.3f}".replace("-", MINUS),
                "interval": f"{low:+.3f} to {high:+.3f}".replace("-", MINUS),
                "tone": perplexity_tone(report),
            }
        )
    for label, value, interval, form in (
        ("Agreement", report.agreement.value, report.agreement.interval, "{:.1f} %"),
        ("KL, nats per token", report.kl.value, report.kl.interval, "{:.4f}"),
    ):
        span = f"{form.format(interval.low)} to {form.format(interval.high)}" if interval else ""
        rows.append(
            {
                "label": label,
                "before": "",
                "after": form.format(value),
                "change": "",
                "interval": span,
                "tone": "none",
            }
        )
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
    amount = f"{report.examples:,} windows, {report.tokens:,} tokens"
    note = f"{report.data}; {amount}, {report.seconds:.1f} s, {report.device}"
    sentence = sentence_of(report, parameters)
    return {
        "title": "Evaluation",
        "sentence": sentence,
        "rows": rows,
        "note": " ".join([f"{note}.", *report.notes]),
        "empty": None,
    }


def sentence_of(report: Report, parameters: tuple[int, int]) -> str:
    """`perplexity 3.44 → 3.71, +0.27 ± 0.03 (…), agreement 91 %, 2.9 M → 2.6 M parameters`."""
    parts = ["no change" if report.unchanged else ""]
    if report.perplexity is not None:
        shown = f"{report.perplexity.before:.2f}" if report.unchanged else report.perplexity.text()
        parts.append(f"perplexity {shown}")
    parts.append(f"agreement {report.agreement.value:.0f} %")
    before, after = (short(count) for count in parameters)
    parts.append(f"{before} → {after} parameters" if before != after else f"{after} parameters")
    return ", ".join(part for part in parts if part)
