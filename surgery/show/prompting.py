"""Two models' answers side by side: as lines for a terminal, and as HTML for a notebook."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from html import escape

from graph.export.text import shortened, visible
from surgery.prompting.answers import Answered, ClassAnswers, NeighbourAnswers, TextAnswers, Token
from surgery.prompting.levels import LEGEND, level, seen
from surgery.show.prompting_style import STYLE

_WIDTH = 96


def answers_text(answers: Answered) -> str:
    """What both say, what differs, and where it was found."""
    lines = [f"prompt    {shortened(visible(answers.prompt), _WIDTH)}"]
    if isinstance(answers, TextAnswers):
        lines += _texts(answers)
    elif isinstance(answers, ClassAnswers):
        lines += _table(_class_rows(answers))
        lines.append(f"KL(original ‖ edited) {nats(answers.kl)}")
        lines += [f"right: {visible(answers.label)}"] if answers.label is not None else []
    elif isinstance(answers, NeighbourAnswers):
        lines += _table(_neighbour_rows(answers))
        lines.append(_drifted(answers))
    lines.append(f"({answers.seconds:.1f} s, {answers.device})")
    return "\n".join([*lines, *answers.notes])


def answers_html(answers: Answered) -> str:
    """The same as HTML without script: tokens tinted by KL, the first divergence marked."""
    parts = [f'<div class="surgery-ask">{STYLE}<p class="surgery-said">{_text(answers.prompt)}</p>']
    if isinstance(answers, TextAnswers):
        parts.append('<div class="surgery-two">')
        for title, tokens in (("Original", answers.original), ("Edited", answers.edited)):
            parts.append(f"<section><h4>{title}</h4><p>{_tokens(tokens, answers.divergence)}</p></section>")
        parts.append(f"</div>{_legend()}<p>{escape(divergence_said(answers))}</p>")
    elif isinstance(answers, ClassAnswers):
        parts.append(_html_table(_class_rows(answers)))
        parts.append(f"<p>KL(original ‖ edited) {nats(answers.kl)}</p>")
    elif isinstance(answers, NeighbourAnswers):
        parts += [_html_table(_neighbour_rows(answers)), f"<p>{_text(_drifted(answers))}</p>"]
    parts += [f"<p>{_text(note)}</p>" for note in answers.notes]
    return "".join([*parts, "</div>"])


def divergence_said(answers: TextAnswers) -> str:
    """Where the two part, and how they were drawn."""
    place = answers.divergence
    count = len(answers.original)
    if place is None:
        said = f"The same {count:,} token{'' if count == 1 else 's'}."
    else:
        pair = [
            _quoted(tokens[place].text) if place < len(tokens) else "nothing more"
            for tokens in (answers.original, answers.edited)
        ]
        said = f"They part at position {place:,}: {pair[0]} became {pair[1]}."
    drawn = "Greedy." if answers.temperature == 0 else f"Temperature {answers.temperature:g}, "
    drawn += "" if answers.temperature == 0 else f"seed {answers.seed}."
    return f"{said} {drawn}{' Stopped.' if answers.stopped else ''}"


def nats(value: float) -> str:
    """`0.213 nats`, with as many decimals as a small one needs."""
    return f"{number(value)} nats"


def number(value: float) -> str:
    """Three digits that count, without powers of ten above a ten-thousandth."""
    if value == 0 or abs(value) == float("inf"):
        return "0" if value == 0 else f"{'−' if value < 0 else ''}∞"
    text = f"{value:.1e}" if abs(value) < 1e-4 else f"{value:.3g}"
    return text.replace("-", "−")


def moved(ranks: tuple[int, int]) -> str:
    """`2 → 5`, or the rank that stayed."""
    return str(ranks[0]) if ranks[0] == ranks[1] else f"{ranks[0]} → {ranks[1]}"


def _texts(answers: TextAnswers) -> list[str]:
    lines = []
    for title, text, tokens in zip(
        ("original", "edited"), answers.texts, (answers.original, answers.edited), strict=True
    ):
        wrapped = textwrap.wrap(visible(text), _WIDTH, drop_whitespace=False, break_on_hyphens=False) or [""]
        lines += [f"{title if number == 0 else '':<10}{line}" for number, line in enumerate(wrapped)]
        worst = max(tokens, key=lambda token: token.kl)
        place = tokens.index(worst)
        lines.append(f"{'':<10}KL at most {nats(worst.kl)}, at position {place:,}, {_quoted(worst.text)}")
    return [*lines, divergence_said(answers)]


def _quoted(text: str) -> str:
    return f"“{seen(text)}”"


def _class_rows(answers: ClassAnswers) -> list[list[str]]:
    rows = [["class", "original", "edited", "rank"]]
    for choice in answers.choices:
        before, after = (f"{100 * value:.1f} %" for value in choice.probabilities)
        rows.append([visible(choice.name), before, after, moved(choice.ranks)])
    return rows


def _neighbour_rows(answers: NeighbourAnswers) -> list[list[str]]:
    rows = [["neighbour", "original", "edited", "rank"]]
    for item in answers.neighbours:
        before, after = (f"{value:.3f}".replace("-", "−") for value in item.similarities)
        rows.append([shortened(visible(item.name), 60), before, after, moved(item.ranks)])
    return rows


def _drifted(answers: NeighbourAnswers) -> str:
    where = f"{answers.compared:,} examples of {answers.data}"
    return f"similarities moved by {answers.drift:.4f} on average ({where})"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def _html_table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows[1:]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _tokens(tokens: Iterable[Token], divergence: int | None) -> str:
    parts = []
    for place, token in enumerate(tokens):
        mark = ' data-first="true"' if place == divergence else ""
        tip = f"position {place}: KL {nats(token.kl)}; " + " → ".join(
            f"{100 * value:.1f} %" for value in token.probabilities
        )
        shown = escape(seen(token.text))
        parts.append(f'<span class="surgery-kl{level(token.kl)}" title="{escape(tip)}"{mark}>{shown}</span>')
        parts.append("<br>" if "\n" in token.text else "<wbr>")
    return "".join(parts)


def _legend() -> str:
    items = "".join(
        f'<span class="surgery-kl{place}">{escape(text)}</span> ' for place, text in enumerate(LEGEND)
    )
    return f'<p class="surgery-legend">KL, nats: {items}</p>'


def _text(text: str) -> str:
    return escape(visible(text))
