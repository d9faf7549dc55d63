"""The page where no model could be opened: what was wrong, and the way out."""

from __future__ import annotations

from html import escape

import ipywidgets

from surgery.errors import SurgeryError

BROKEN = """<section role="alert"><div>
<strong>Model Surgery</strong>
<h1>The studio could not be opened</h1>
<p class="ms-problem">Something went wrong that should not. What it was, the log of the server says.</p>
<p class="ms-hint">Try: loading this page again.</p>
</div></section>"""

CARD = """<section role="alert"><div>
<strong>Model Surgery</strong>
<h1>The model could not be opened</h1>
<p class="ms-problem">{problem}</p>
{hint}
<footer>End the server with Ctrl-C in its terminal, then start it again: <code>surgery app MODEL</code>,
or without a model for the demonstration.</footer>
</div></section>"""


def refusal_card(error: SurgeryError) -> ipywidgets.HTML:
    """The sentence and hint of a refusal as a page of its own, styled by voila/templates/page.css.

    Both are text, never markup: they name files and what is in them.
    """
    hint = f'<p class="ms-hint">Try: {escape(error.hint.replace("`", ""))}</p>' if error.hint else ""
    return _card(CARD.format(problem=escape(error.sentence(with_hint=False)), hint=hint))


def broken_card() -> ipywidgets.HTML:
    """The page where something failed that nobody foresaw; its traceback is in the log."""
    return _card(BROKEN)


def _card(text: str) -> ipywidgets.HTML:
    card = ipywidgets.HTML(text)
    card.add_class("ms-sorry")
    return card
