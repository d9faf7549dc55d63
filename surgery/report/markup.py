"""Pieces of HTML; whatever is put into them is text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from surgery.picture.text import safe


def section(title: str, *parts: str) -> str:
    """A part of the report under its heading."""
    return "\n".join([f"<section><h2>{safe(title)}</h2>", *filter(None, parts), "</section>"])


def figure(caption: str, more: str, svg: str) -> str:
    """A picture with what it is; `more` says it softly. `svg` is markup."""
    said = f" <span>{safe(more)}</span>" if more else ""
    return f'<figure><figcaption>{safe(caption)}{said}</figcaption><div class="wide">{svg}</div></figure>'


def note(text: str) -> str:
    """A sentence in a softer voice."""
    return f'<p class="note">{safe(text)}</p>' if text else ""


def folded(title: str, text: str, *, is_open: bool = False) -> str:
    """Code that one can fold away."""
    code = "\n".join(map(safe, text.split("\n")))  # a line break is one here, and no control character
    return (
        f"<details{' open' if is_open else ''}><summary>{safe(title)}</summary>"
        f"<pre><code>{code}</code></pre></details>"
    )


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], here: int | None = None) -> str:
    """A table of texts whose first column names the rows; row `here` stands out."""
    head = "".join(f'<th scope="col">{safe(title)}</th>' for title in titles)
    body = []
    for number, (name, *cells) in enumerate(rows):
        mark = ' class="here"' if number == here else ""
        told = "".join(f"<td>{safe(cell)}</td>" for cell in cells)
        body.append(f'<tr{mark}><th scope="row">{safe(name)}</th>{told}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def pairs(found: Iterable[tuple[str, str]]) -> str:
    """Names and what they stand for; what is empty is left out."""
    told = (f"<dt>{safe(name)}</dt><dd>{_value(value)}</dd>" for name, value in found if value)
    return f"<dl>{''.join(told)}</dl>"


def _value(value: str) -> str:
    """The text, a fingerprint as code."""
    kind, colon, digits = value.partition(":")
    is_code = bool(colon) and kind.isalnum() and len(digits) >= 32 and digits.isalnum()
    return f"<code>{safe(value)}</code>" if is_code else safe(value)
