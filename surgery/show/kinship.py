"""A comparison of models as a table for a terminal, and as a heat map for a notebook or a page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from graph.export.text import shortened, visible

if TYPE_CHECKING:
    from surgery.merging.kinship import Kin, Kinship

_BLOCK = re.compile(r"^(.*?)\.(\d+)\.(.*)$")

STYLE = """<style>
.surgery-kin {
  --ink: var(--jp-content-font-color1, #1c2430); --soft: var(--jp-content-font-color2, #5b6675);
  --ground: var(--jp-layout-color0, #ffffff); --heat: 194, 65, 12; --calm: 37, 99, 235;
  color: var(--ink); background: var(--ground); padding: 8px 12px; overflow-x: auto;
  font: 13px/1.5 var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
}
@media (prefers-color-scheme: dark) {
  .surgery-kin {
    --ink: var(--jp-content-font-color1, #e8ecf2); --soft: var(--jp-content-font-color2, #a4afbd);
    --ground: var(--jp-layout-color0, #1b1f26); --heat: 251, 146, 60; --calm: 96, 165, 250;
  }
}
.surgery-kin table { border-collapse: separate; border-spacing: 2px; margin: 4px 0 14px; }
.surgery-kin th { font-weight: 500; color: var(--soft); text-align: left; padding: 0 6px; white-space: nowrap;
}
.surgery-kin td { min-width: 30px; height: 20px; padding: 0 4px; border-radius: 3px; text-align: right;
  font-size: 11px; font-variant-numeric: tabular-nums; }
body > .surgery-kin { min-height: 100vh; box-sizing: border-box; }
.surgery-kin th + th { text-align: right; }
.surgery-kin h3 { margin: 2px 0 6px; font-weight: 600; font-size: 17px; }
.surgery-kin h4 { margin: 6px 0 2px; font-weight: 600; font-size: 13px; }
.surgery-kin p { margin: 2px 0; color: var(--soft); }
</style>"""


def table(kinship: Kinship) -> str:
    """A line per tensor and one for all: how far each parent moved, mean cosine, conflicts of signs."""
    names = [shortened(name, 12) for name in kinship.parents]
    lines = [[f"|τ|/|θ| {name}" for name in names] + ["cosine", "conflicts"]]
    paths = ["tensor"]
    for kin in (*kinship.tensors, kinship.all):
        paths.append(visible(kin.path) or "all")
        moved = [f"{value:.4f}" for value in kin.moved]
        lines.append([*moved, _number(kin.cosine), f"{100 * kin.conflicts:.1f} %"])
    left = max(map(len, paths))
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    rows = [
        f"{path:<{left}}  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
        for path, line in zip(paths, lines, strict=True)
    ]
    return "\n".join([*rows[:-1], "-" * len(rows[0]), rows[-1]])


def heat_map(kinship: Kinship) -> str:
    """HTML with no script: blocks across, tensors of a block down, coloured by movement, cosine,
    conflicts.
    """
    pairs = len(kinship.parents) > 1
    parts = [f'<div class="surgery-kin">{STYLE}', f"<p>{escape(_summary(kinship))}</p>"]
    for place, name in enumerate(kinship.parents):
        most = max((kin.moved[place] for kin in kinship.tensors), default=0.0)
        parts += _map(
            kinship,
            f"{visible(name)}: |τ| / |θ₀|",
            lambda kin, place=place: kin.moved[place],  # type: ignore[misc]
            most or 1.0,
            "heat",
        )
    if pairs:
        parts += _map(
            kinship, "cosine of the task vectors, mean over pairs", lambda kin: kin.cosine, 1.0, "calm"
        )
        parts += _map(kinship, "elements whose signs differ", lambda kin: kin.conflicts, 1.0, "heat")
    return "\n".join([*parts, "</div>"])


def page(kinship: Kinship, title: str) -> str:
    """The heat map as a page of its own."""
    shown = heat_map(kinship).replace(STYLE, f"{STYLE}<h3>{escape(title)}</h3>", 1)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<body style="margin:0">{shown}</body></html>\n'
    )


def _summary(kinship: Kinship) -> str:
    whole = kinship.all
    moved = ", ".join(
        f"{visible(name)} moved by {100 * value:.2f} %"
        for name, value in zip(kinship.parents, whole.moved, strict=True)
    )
    if len(kinship.parents) == 1:
        return f"{len(kinship.tensors)} tensors: {moved} of the base's norm."
    return (
        f"{len(kinship.tensors)} tensors: {moved} of the base's norm; mean cosine {_number(whole.cosine)}; "
        f"signs differ in {100 * whole.conflicts:.1f} % of what two or more changed."
    )


def _map(kinship: Kinship, title: str, value: Callable[[Kin], float], most: float, colour: str) -> list[str]:
    lists: dict[str, dict[str, dict[int, Kin]]] = {}
    alone: list[Kin] = []
    for kin in kinship.tensors:
        found = _BLOCK.match(kin.path)
        if found:
            lists.setdefault(found[1], {}).setdefault(found[3], {})[int(found[2])] = kin
        else:
            alone.append(kin)
    parts = [f"<h4>{escape(title)}</h4>"]
    for parent, rows in lists.items():
        numbers = sorted({number for cells in rows.values() for number in cells})
        head = "".join(f"<th>{number}</th>" for number in numbers)
        parts.append(f"<table><tr><th>{escape(visible(parent))}</th>{head}</tr>")
        for name, cells in rows.items():
            drawn = "".join(_cell(cells.get(number), value, most, colour) for number in numbers)
            parts.append(f"<tr><th>{escape(visible(name))}</th>{drawn}</tr>")
        parts.append("</table>")
    if alone:
        parts.append("<table>")
        for kin in alone:
            cell = _cell(kin, value, most, colour)
            parts.append(f"<tr><th>{escape(visible(kin.path))}</th>{cell}</tr>")
        parts.append("</table>")
    return parts


def _cell(kin: Kin | None, value: Callable[[Kin], float], most: float, colour: str) -> str:
    if kin is None:
        return "<td></td>"
    found = value(kin)
    if math.isnan(found):
        return f'<td title="{escape(visible(kin.path))}">–</td>'
    strength = min(1.0, abs(found) / most) if most else 0.0
    title = escape(f"{visible(kin.path)}: {found:.4f}")
    shade = f"rgba(var(--{colour}),{0.06 + 0.6 * strength:.2f})"
    return f'<td title="{title}" style="background:{shade}">{found:.2f}</td>'


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
