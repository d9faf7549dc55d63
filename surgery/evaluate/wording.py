"""How figures are worded wherever they are shown: changes with their sign, tone and interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graph.units import short
from surgery.evaluate.figure import Figure
from surgery.evaluate.report import Report, figure_now

Tone = Literal["better", "worse", "none"]
MINUS = "−"


@dataclass(frozen=True)
class Line:
    """A figure as a line of a table, in words; what there is not is empty."""

    label: str
    before: str
    after: str
    change: str
    interval: str
    tone: Tone


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


def cost_line(label: str, before: float, after: float, unit: str = "") -> Line:
    """A cost of the model before and after surgery."""
    return Line(
        label,
        short(before, unit),
        short(after, unit),
        percent(before, after),
        "",
        less_is_better(before, after),
    )


def figure_line(figure: Figure, report: Report) -> Line:
    """A measured figure of `report`, with the 95 % interval of its change; of its own without a before."""
    per = "token" if report.tokens else report.noun
    label = title(figure) + (f", {figure.unit} per {per}" if figure.unit not in ("", "%") else "")
    interval, percent = figure.interval, " %" if figure.unit == "%" else ""
    if figure.before is None:
        places = figure.decimals if percent else figure.decimals + 1
        ends = (
            f"{interval.low:.{places}f}{percent} to {interval.high:.{places}f}{percent}" if interval else ""
        )
        return Line(label, "", f"{figure.after:.{places}f}{percent}", "", ends, tone(figure))
    places = figure.decimals + (0 if percent else 1)
    ends = f"{interval.low:+.{places}f} to {interval.high:+.{places}f}" if interval else ""
    return Line(
        label,
        f"{figure.before:.{places}f}{percent}",
        f"{figure.after:.{places}f}{percent}",
        f"{figure.difference:+.{places}f}".replace("-", MINUS),
        ends.replace("-", MINUS),
        tone(figure),
    )


def foremost(report: Report) -> list[Figure]:
    """What a line has room for: two figures before and after, and the first beside the original."""
    both = [figure for figure in report.results if figure.before is not None][:2]
    return both + [figure for figure in report.results if figure.before is None][:1]


def sentence_of(report: Report, parameters: tuple[int, int]) -> str:
    """`perplexity 3.44 → 3.71, +0.27 ± 0.03 (…), agreement 91 %, 2.9 M → 2.6 M parameters`."""
    parts = ["no change" if report.unchanged else ""]
    for figure in foremost(report):
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


def circumstances(report: Report) -> str:
    """`held-out text; 96 windows, 24,576 tokens, 2.1 s, cpu.`, then what a reader must know to trust it."""
    return " ".join([f"{report.data}; {amount_of(report)}, {report.device}.", *report.notes])


def amount_of(report: Report) -> str:
    """`96 windows, 24,576 tokens, 2.1 s`."""
    return f"{report.amount}{f', {report.tokens:,} tokens' if report.tokens else ''}, {report.seconds:.1f} s"
