"""A graph for a notebook cell: a collapsible tree in plain HTML, with no script and nothing to load."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

from graph.export.text import shortened, visible
from graph.nodes import ModuleGraph
from surgery.show.marks import Mark
from surgery.show.outline import Line, Outline
from surgery.show.style import STYLE

# A cell's output stays in the notebook file: these bound it to some hundred kilobytes.
MOST_LINES = 600
MOST_CHILDREN = 100
DEEPEST = 40
MOST_TIES = 20
OPEN_LINES = 24
"""Lines are open from the top down while there are no more of them than this."""


@dataclass(slots=True)
class _Drawn:
    """A line with those below it; `rest` says what was left out of them."""

    line: Line
    level: int
    below: list[_Drawn] = field(default_factory=list)
    rest: str = ""
    is_open: bool = False


def tree_html(graph: ModuleGraph, note: str | None = None) -> str:
    """The tree of `graph` as one element of HTML: parameters, bytes, MACs, ties, opaque modules, failure.

    Alike blocks of a list share one line. Its size is bounded: of very long lists and very deep
    models the rest is counted. `note` is a sentence to say below. Names are shown as text whatever
    they are made of.
    """
    outline = Outline(graph)
    titles = "".join(f"<span>{outline.titles[place]}</span>" for place in outline.shown)
    columns = " ".join(["104px"] * len(outline.shown)) or "0"
    parts = [
        f'<div class="surgery-tree" style="--columns:{columns}">{STYLE}',
        f'<div class="surgery-row surgery-head"><span></span>{titles}</div>',
    ]
    parts += _body(outline, _drawn(outline))
    ties = list(outline.ties(MOST_TIES))
    if ties:
        count = len(graph.ties)
        items = "".join(f"<li>{_text(tie)}</li>" for tie in ties)
        parts.append(
            f'<details class="surgery-ties"><summary>{count:,} tie{"" if count == 1 else "s"}</summary>'
            f"<ul>{items}</ul></details>"
        )
    parts += [f'<p class="surgery-note">{_text(line)}</p>' for line in outline.summary()]
    kind = "surgery-failed" if graph.problem else "surgery-note"
    parts += [f'<p class="{kind}">{_text(note)}</p>' for note in outline.notes(note)]
    return "".join([*parts, "</div>"])


def change_html(rows: Iterable[tuple[str, float | None, float | None, bool]]) -> str:
    """A table of (figure, before, after, after is an upper bound), with the change of each."""
    lines = []
    for label, before, after, bound in rows:
        change = (after or 0) - (before or 0)
        share = f" ({change / before:+.1%})" if before and change else ""
        said = (
            f"{before or 0:,.0f}",
            f"{'≤ ' if bound else ''}{after or 0:,.0f}",
            f"{change:+,.0f}{share}".replace("-", "−"),
        )
        cells = "".join(f"<td>{text}</td>" for text in (said if change else (*said[:2], "")))
        lines.append(f'<tr><th scope="row">{_text(label)}</th>{cells}</tr>')
    titles = "".join(f'<th scope="col">{title}</th>' for title in ("", "before", "after", "change"))
    return (
        f'<div class="surgery-tree">{STYLE}<table class="surgery-change"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _drawn(outline: Outline) -> _Drawn:
    """The lines to draw, chosen level by level so that what is left out lies deep."""
    root = _Drawn(outline.root(), 0, is_open=True)
    waiting, left, shown = deque([root]), MOST_LINES - 1, 1
    while waiting:
        drawn = waiting.popleft()
        children = outline.children(drawn.line)
        taken = children[: min(MOST_CHILDREN, left)] if drawn.level < DEEPEST else []
        drawn.below = [_Drawn(line, drawn.level + 1) for line in taken]
        if len(taken) < len(children):
            unseen = len(children) - len(taken)
            drawn.rest = (
                f"… {unseen:,} more" if taken else f"… {_modules(outline.modules_inside(drawn.line))}"
            )
        left -= len(taken)
        if drawn.is_open and (drawn is root or shown + len(taken) <= OPEN_LINES):
            shown += len(taken)
            for child in drawn.below:
                child.is_open = True
        else:
            drawn.is_open = False
        waiting.extend(drawn.below)
    return root


def _body(outline: Outline, root: _Drawn) -> list[str]:
    """The lines as nested elements. Not recursive: what is here may be nested deeper than Python likes."""
    parts: list[str] = []
    waiting: list[_Drawn | str] = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            parts.append(item)
        elif not item.below and not item.rest:
            parts.append(f'<div class="surgery-leaf">{_row(outline, item)}</div>')
        else:
            parts.append(
                f"<details{' open' if item.is_open else ''}><summary>{_row(outline, item)}</summary>"
            )
            rest = f'<div class="surgery-rest">{item.rest}</div>' if item.rest else ""
            waiting.append(f"{rest}</div></details>")
            waiting.extend(reversed(item.below))
            parts.append('<div class="surgery-inside">')
    return parts


def _row(outline: Outline, drawn: _Drawn) -> str:
    line = drawn.line
    marks, inside = outline.marks(line), outline.marks_inside(line)
    flags = "".join(f" surgery-{mark.kind}" for mark in marks if mark.kind != "tie")
    label = line.label or line.kind
    kind = f'<span class="surgery-class"><bdi>{_text(line.kind)}</bdi></span>' if line.label else ""
    path = escape(shortened(visible(line.node.path), 400), quote=True)
    name = f'<b title="{path}"><bdi>{_text(label)}</bdi></b>'
    texts = outline.figures(line)
    figures = "".join(
        f'<span title="{outline.titles[place]}">{texts[place]}</span>' for place in outline.shown
    )
    badges = "".join(map(_badge, marks))
    if inside:  # shown while the module is closed
        badges += f'<span class="surgery-within">{"".join(map(_badge, inside))}</span>'
    left = f'<span class="surgery-name">{name}{kind}{badges}</span>'
    return f'<span class="surgery-row{flags}">{left}{figures}</span>'


def _badge(mark: Mark) -> str:
    detail = escape(mark.detail or mark.text, quote=True)
    return f'<span class="surgery-mark surgery-mark-{mark.kind}" title="{detail}">{_text(mark.text)}</span>'


def _modules(count: int) -> str:
    return f"{count:,} module{'' if count == 1 else 's'} inside"


def _text(text: str) -> str:
    return escape(text, quote=True)
